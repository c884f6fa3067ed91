// Categories of ops/density.h.
#include "math/category.h"

#include "cpu/pairs.h"
#include "emshap/ops/density.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/density_backend.h"

namespace emshap::cpu::EMSHAP_ISA {

template <class T>
void categorical_loss(Context& ctx, Mat<const T> logits, Mat<const T> frequencies,
                      Mat<const std::int32_t> code, Mat<const T> weight, Mat<T> value, Mat<T> dlogits) {
  using V = NativePack<T>;
  const Workspace::Scope scope(ctx.workspace());
  V* const packs = take_packs<T>(ctx, logits.cols);
  V* const gradient = take_packs<T>(ctx, logits.cols);
  const PairNumbers<const std::int32_t> codes(code);
  const PairNumbers<const T> weights(weight);
  const PairNumbers<T> values(value);
  for_each_pair_block<T>(logits.rows, [&](auto block) EMSHAP_INLINE_LAMBDA {
    block.load_rows(logits, 1, packs);
    T code_numbers[block.lanes] = {};
    for (int i = 0; i < block.count; ++i) code_numbers[i] = static_cast<T>(codes.at(block.first + i));
    const V w = block.load(weights);
    const V loss = math::categorical_loss(static_cast<int>(logits.cols), packs, frequencies.data,
                                          V::load(code_numbers), ops::category_base_share, gradient);
    const auto none = w == V(T(0));
    block.store(values, select(none, V(T(0)), w * loss));
    if (dlogits.data == nullptr) return;
    for (std::int64_t v = 0; v < logits.cols; ++v) gradient[v] = select(none, V(T(0)), w * gradient[v]);
    block.store_rows(dlogits, gradient);
  });
}

template <class T>
void categorical_log_probabilities(Context& ctx, Mat<const T> logits, Mat<const T> frequencies,
                                   Mat<const T> wanted, Mat<T> log_p) {
  using V = NativePack<T>;
  const Workspace::Scope scope(ctx.workspace());
  V* const packs = take_packs<T>(ctx, logits.cols);
  const PairNumbers<const T> asked(wanted);
  for_each_pair_block<T>(logits.rows, [&](auto block) EMSHAP_INLINE_LAMBDA {
    block.load_rows(logits, 1, packs);
    math::categorical_log_probabilities(static_cast<int>(logits.cols), packs, frequencies.data,
                                        ops::category_base_share, packs);
    if (wanted.data != nullptr) {
      const auto none = block.load(asked) == V(T(0));
      for (std::int64_t v = 0; v < logits.cols; ++v) packs[v] = select(none, V(T(0)), packs[v]);
    }
    block.store_rows(log_p, packs);
  });
}

template <class T>
void categorical_draw(Context& ctx, Mat<const T> log_p, Mat<const T> uniforms, Mat<const T> wanted,
                      Mat<std::int32_t> code, Mat<T> log_q) {
  using V = NativePack<T>;
  const std::int64_t pairs = code.rows * code.cols;
  if (pairs == 0) return;
  const std::int64_t share = pairs / log_p.rows;
  const Workspace::Scope scope(ctx.workspace());
  V* const packs = take_packs<T>(ctx, log_p.cols);
  const PairNumbers<const T> asked(wanted);
  const PairNumbers<std::int32_t> codes(code);
  const PairNumbers<T> log_qs(log_q);
  for_each_pair_block<T>(pairs, [&](auto block) EMSHAP_INLINE_LAMBDA {
    T u[block.lanes] = {};
    for (int i = 0; i < block.count; ++i) u[i] = uniforms.row((block.first + i) % uniforms.rows)[0];
    block.load_rows(log_p, share, packs);
    const auto drawn = math::categorical_draw(static_cast<int>(log_p.cols), packs, V::load(u));
    for (int i = 0; i < block.count; ++i) {
      const std::int64_t p = block.first + i;
      if (wanted.data != nullptr && asked.at(p / share) == T(0)) continue;
      codes.at(p) = static_cast<std::int32_t>(drawn.code[i]);
      if (log_q.data != nullptr) log_qs.at(p) += drawn.log_p[i];
    }
  });
}

template <class T>
void categorical_values(Context&, Mat<const T> values, Mat<const std::int32_t> code, Mat<T> x) {
  const std::int64_t pairs = code.rows * code.cols, count = values.rows * values.cols;
  const PairNumbers<const std::int32_t> codes(code);
  const PairNumbers<T> xs(x);
  for (std::int64_t p = 0; p < pairs; ++p)
    if (codes.at(p) >= 0 && codes.at(p) < count) xs.at(p) = values.data[codes.at(p)];
}

#define EMSHAP_INSTANTIATE(T)                                                                              \
  template void categorical_loss<T>(Context&, Mat<const T>, Mat<const T>, Mat<const std::int32_t>,         \
                                    Mat<const T>, Mat<T>, Mat<T>);                                         \
  template void categorical_log_probabilities<T>(Context&, Mat<const T>, Mat<const T>, Mat<const T>,       \
                                                 Mat<T>);                                                  \
  template void categorical_draw<T>(Context&, Mat<const T>, Mat<const T>, Mat<const T>, Mat<std::int32_t>, \
                                    Mat<T>);                                                               \
  template void categorical_values<T>(Context&, Mat<const T>, Mat<const std::int32_t>, Mat<T>);
EMSHAP_INSTANTIATE(float)
EMSHAP_INSTANTIATE(double)

}  // namespace emshap::cpu::EMSHAP_ISA
