// From draws to predictions, as explanations with a GPU make them: 1,024 coalitions of 128 draws, 20
// features, the default predictor. On the CPU, against which each is checked, plain loops do the same.
#include <algorithm>
#include <limits>

#include "emshap/ops/linear.h"
#include "emshap/ops/mlp_infer.h"
#include "emshap/ops/pieces.h"
#include "op_case.h"

using namespace emshap;
using namespace emshap::bench;

namespace {

constexpr std::int64_t F = 20, pieces_each = 64;
constexpr float most = std::numeric_limits<float>::max();

bool on_cpu(const Context& ctx) {
  return ctx.device().kind == DeviceKind::cpu;
}

/// Pieces of equal length between -1 and 1.
struct Functions {
  std::vector<std::int32_t> first{0};
  std::vector<float> begin;
  Functions() {
    for (std::int64_t t = 0; t < F; ++t) {
      for (std::int64_t j = 0; j < pieces_each; ++j)
        begin.push_back(-1.f + 2.f * static_cast<float>(j) / static_cast<float>(pieces_each));
      first.push_back(static_cast<std::int32_t>(begin.size()));
    }
  }
  ops::Pieces in(Operands& o) const {
    const auto P = static_cast<std::int64_t>(begin.size());
    return {o.given(first, {F + 1}), o.given(begin, {P}), o.given(begin, {P}),
            o.given(std::vector<float>(F, -most), {F}), o.given(std::vector<float>(F, most), {F})};
  }
  std::int32_t piece(std::int64_t t, float x) const {
    const auto from = begin.begin() + first[static_cast<std::size_t>(t)];
    return static_cast<std::int32_t>(std::upper_bound(from + 1, from + pieces_each, x) - begin.begin()) - 1;
  }
};

void add_pieces(std::int64_t b, std::int64_t k) {
  const std::int64_t n = b * k, table = F * pieces_each;
  const std::string at = "/" + std::to_string(b) + "x" + std::to_string(k);
  const Functions functions;
  std::vector<std::int32_t> each(F);
  for (std::int64_t t = 0; t < F; ++t) each[static_cast<std::size_t>(t)] = static_cast<std::int32_t>(t);
  add_op("complete_rows" + at, {f32_bytes(2 * n * F + 2 * b * F + 4 * table), 0},
         [=](Context& ctx, Operands& o) -> std::function<void()> {
           const ops::Pieces pieces = functions.in(o);
           const auto value = o.in({table}), slope = o.in({table}), draws = o.in({n, F}),
                      mask = o.in({b, F}, 0, 1), raw = o.in({b, F}), rows = o.out({n, F}),
                      feature = o.given(each, {F}), counts = o.out({2}, DType::i32);
           const ops::PieceLines lines{value, slope, pieces.low, pieces.high};
           if (!on_cpu(ctx))
             return [=, &ctx] {
               ops::complete_rows(ctx, pieces, lines, feature, draws, mask, raw, rows, counts);
             };
           return [=] {
             for (std::int64_t i = 0; i < n * F; ++i) {
               const std::int64_t row = i / F / k, t = i % F;
               const float x = draws.ptr<float>()[i];
               const std::int32_t p = functions.piece(t, x);
               rows.ptr<float>()[i] =
                   mask.ptr<float>()[row * F + t] > .5f
                       ? raw.ptr<float>()[row * F + t]
                       : value.ptr<float>()[p] +
                             slope.ptr<float>()[p] * (x - functions.begin[static_cast<std::size_t>(p)]);
             }
           };
         });
  add_op("find_pieces" + at, {f32_bytes(3 * n * F + 2 * table), 0},
         [=](Context& ctx, Operands& o) -> std::function<void()> {
           const ops::Pieces pieces = functions.in(o);
           const auto raw = o.in({n, F}), factor = o.out({n, F}), column = o.given(each, {F}),
                      index = o.out({n, F}, DType::i32);
           if (!on_cpu(ctx)) return [=, &ctx] { ops::find_pieces(ctx, pieces, column, raw, index, factor); };
           return [=] {
             for (std::int64_t i = 0; i < n * F; ++i) {
               const float x = raw.ptr<float>()[i];
               const std::int32_t p = functions.piece(i % F, x);
               index.ptr<std::int32_t>()[i] = p;
               factor.ptr<float>()[i] = x - functions.begin[static_cast<std::size_t>(p)];
             }
           };
         });
}

/// The layers behind the first: 128 - 64 - 1.
void add_layers(std::int64_t n) {
  constexpr std::int64_t wide = 128, narrow = 64;
  const Work work{f32_bytes(n * (wide + 1) + wide * narrow),
                  2. * static_cast<double>(n * narrow * (wide + 1))};
  add_op("mlp_infer/" + std::to_string(n), work, [=](Context& ctx, Operands& o) -> std::function<void()> {
    const auto x = o.in({n, wide}), w1 = o.in({wide, narrow}, -.1, .1), b1 = o.in({narrow}),
               w2 = o.in({narrow, 1}), b2 = o.in({1}), h = o.scratch({n, narrow}), y = o.out({n, 1});
    if (on_cpu(ctx))
      return [=, &ctx] {
        ops::linear_forward(ctx, x, w1, b1, Activation::relu, h);
        ops::linear_forward(ctx, h, w2, b2, Activation::identity, y);
      };
    return [=, &ctx] {
      const ops::MlpLayer layers[] = {{w1, b1}, {w2, b2}};
      ops::mlp_infer(ctx, layers, Activation::relu, x, y);
    };
  });
}

}  // namespace

int main(int argc, char** argv) {
  add_pieces(rows(1024), on_processor() ? 4 : 128);
  add_layers(rows(1024 * 128));
  return run_gpu_benchmarks(argc, argv);
}
