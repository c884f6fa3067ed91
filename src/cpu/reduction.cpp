#include "emshap/ops/reduction.h"

#include "cpu/sum_of_squares.h"
#include "math/exp_log.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/reduction_backend.h"

namespace emshap::cpu::EMSHAP_ISA {

template <class T>
void sum_over_rows(Context& ctx, Mat<const T> x, Mat<T> out) {
  const ShardPlan plan = ctx.plan(x.rows);
  const Workspace::Scope scope(ctx.workspace());
  T* partials = ctx.workspace().take<T>(plan.local_shards * x.cols);
  for (std::int64_t i = 0; i < plan.local_shards; ++i) {
    column_sums(rows_of(x, plan.shard(i)), partials + i * x.cols);
  }
  ShardSums<T> sums(ctx, partials, plan.local_shards, x.cols);
  sums.store(0, x.cols, out.data);
  sums.close();
}

template <class T>
void sum_over_columns(Context&, Mat<const T> x, Mat<T> out) {
  for (std::int64_t r = 0; r < x.rows; ++r) {
    const T* row = x.row(r);
    out.data[r] = static_cast<T>(
        sum_in_double(x.cols, [&](auto at) EMSHAP_INLINE_LAMBDA { return wide(at.load(row)); }));
  }
}

template <class T>
void sum(Context& ctx, Mat<const T> x, Mat<T> out) {
  const ShardPlan plan = ctx.plan(x.rows);
  const Workspace::Scope scope(ctx.workspace());
  double* partials = ctx.workspace().take<double>(plan.local_shards);
  for (std::int64_t i = 0; i < plan.local_shards; ++i) {
    const Shard s = plan.shard(i);
    partials[i] = 0;
    for (std::int64_t r = s.begin; r < s.begin + s.rows; ++r) {
      const T* row = x.row(r);
      partials[i] += sum_in_double(x.cols, [&](auto at) EMSHAP_INLINE_LAMBDA { return wide(at.load(row)); });
    }
  }
  ShardSums<double> sums(ctx, partials, plan.local_shards, 1);
  double total = 0;
  sums.store(0, 1, &total);
  out.data[0] = static_cast<T>(total);
  sums.close();
}

template <class T>
void sum_of_squares_shared(Context& ctx, Mat<const T> x, Mat<T> out) {
  out.data[0] = static_cast<T>(sum_of_squares(ctx, x.data, x.rows * x.cols));
}

template <class T>
void log_sum_exp(Context&, Mat<const T> x, Mat<T> out) {
  using Pack = NativePack<T>;
  constexpr int lanes = native_lanes<T>;
  const T lowest = -static_cast<T>(__builtin_inff());
  for (std::int64_t r = 0; r < x.rows; ++r) {
    const T* row = x.row(r);
    Pack high(lowest);
    T top = lowest;  // the last, partial pack has zeros beyond the end
    std::int64_t c = 0;
    for (; c + lanes <= x.cols; c += lanes) high = math::max(Pack::load(row + c), high);
    for (; c < x.cols; ++c) top = math::max(row[c], top);
    for (int i = 0; i < lanes; ++i) top = math::max(high[i], top);
    // Subtracting an infinite maximum would give nan: inf stays inf, and only -inf gives log 0.
    const T shift = top < static_cast<T>(__builtin_inff()) && top > lowest ? top : T(0);
    Pack sum(T(0));
    c = 0;
    for (; c + lanes <= x.cols; c += lanes) sum += math::exp(Pack::load(row + c) - Pack(shift));
    T rest = T(0);
    for (; c < x.cols; ++c) rest += math::exp(row[c] - shift);
    out.data[r] = shift + math::log(math::horizontal_sum(sum) + rest);
  }
}

template <class T>
void log_sum_exp_backward(Context&, Mat<const T> x, Mat<const T> out, Mat<const T> dout, Mat<T> dx) {
  for (std::int64_t r = 0; r < x.rows; ++r) {
    const T* row = x.row(r);
    T* to = dx.row(r);
    const NativePack<T> total(out.data[r]), scale(dout.data[r]);
    for_each_pack<T>(
        x.cols, [&](auto at) EMSHAP_INLINE_LAMBDA { at.store(to, scale * math::exp(at.load(row) - total)); });
  }
}

#define EMSHAP_INSTANTIATE(T)                                                                        \
  template void sum_over_rows<T>(Context&, Mat<const T>, Mat<T>);                                    \
  template void sum_over_columns<T>(Context&, Mat<const T>, Mat<T>);                                 \
  template void sum<T>(Context&, Mat<const T>, Mat<T>);                                              \
  template void log_sum_exp<T>(Context&, Mat<const T>, Mat<T>);                                      \
  template void log_sum_exp_backward<T>(Context&, Mat<const T>, Mat<const T>, Mat<const T>, Mat<T>); \
  template void sum_of_squares_shared<T>(Context&, Mat<const T>, Mat<T>);
EMSHAP_INSTANTIATE(float)
EMSHAP_INSTANTIATE(double)

}  // namespace emshap::cpu::EMSHAP_ISA
