#include "emshap/ops/pieces.h"

#include "ops/checks.h"
#include "ops/dispatch.h"
#include "ops/pieces_backend.h"

namespace emshap::ops {
namespace {

constexpr const char* cpu_has_other = "piecewise functions of whole rows are a GPU's; the CPU has its tables";

/// `first` and `wanted` hold i32 on the device, and all tensors of the pieces fit each other.
cuda::PieceArrays checked(const char* op, const Context& ctx, const Pieces& p, std::int64_t features) {
  check::same_kind(op, ctx, {{"begin", p.begin}, {"origin", p.origin}, {"low", p.low}, {"high", p.high}});
  check::same_kind(op, ctx, {{"first", p.first}});
  check::vector(op, {"first", p.first}, features + 1, "there is one entry a feature and the end");
  check::vector(op, {"origin", p.origin}, p.begin.cols(), "begin has as many pieces");
  check::vector(op, {"low", p.low}, features, "there is one bound a feature");
  check::vector(op, {"high", p.high}, features, "there is one bound a feature");
  return {p.first.ptr<std::int32_t>(), p.begin.ptr<float>(), p.origin.ptr<float>(), p.low.ptr<float>(),
          p.high.ptr<float>()};
}

}  // namespace

void find_pieces(Context& ctx, const Pieces& pieces, ConstTensorView column, ConstTensorView raw,
                 TensorView index, TensorView factor) {
  constexpr const char* op = "find_pieces";
  const std::int64_t F = factor.cols();
  const cuda::PieceArrays arrays = checked(op, ctx, pieces, F);
  check::same_kind(op, ctx, {{"raw", raw}, {"factor", factor}});
  check::same_kind(op, ctx, {{"column", column}, {"index", index}});
  check::vector(op, {"column", column}, F, "there is one column a feature");
  check::same_extent(op, {"index", index}, {"factor", factor});
  if (raw.rows() != factor.rows())
    throw ShapeError(
        fmt::format("{}: raw has {} rows, expected {} as factor", op, raw.rows(), factor.rows()));
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH_CUDA(ctx, cpu_has_other,
                       find_pieces(ctx, arrays, column.ptr<std::int32_t>(), mat<float>(raw),
                                   mat<std::int32_t>(index), mat<float>(factor)));
}

void complete_rows(Context& ctx, const Pieces& pieces, const PieceLines& lines, ConstTensorView feature,
                   ConstTensorView draws, ConstTensorView mask, ConstTensorView raw, TensorView rows,
                   TensorView counts) {
  constexpr const char* op = "complete_rows";
  const std::int64_t F = mask.cols();
  const cuda::PieceArrays arrays = checked(op, ctx, pieces, F);
  check::same_kind(op, ctx,
                   {{"draws", draws},
                    {"mask", mask},
                    {"raw", raw},
                    {"rows", rows},
                    {"value", lines.value},
                    {"slope", lines.slope},
                    {"least", lines.least},
                    {"greatest", lines.greatest}});
  check::same_kind(op, ctx, {{"feature", feature}, {"counts", counts}});
  check::vector(op, {"value", lines.value}, pieces.begin.cols(), "begin has as many pieces");
  check::vector(op, {"slope", lines.slope}, pieces.begin.cols(), "begin has as many pieces");
  check::vector(op, {"least", lines.least}, F, "there is one bound a feature");
  check::vector(op, {"greatest", lines.greatest}, F, "there is one bound a feature");
  check::vector(op, {"feature", feature}, raw.cols(), "there is one entry a raw column");
  check::vector(op, {"counts", counts}, 2, "there are two counts");
  const std::int64_t B = raw.rows(), n = rows.rows();
  if (mask.rows() != B || draws.rows() != n || draws.cols() != F || rows.cols() != raw.cols() ||
      (B == 0 ? n != 0 : n % B != 0))
    throw ShapeError(
        fmt::format("{}: draws have shape {}, mask {}, raw {} and rows {}, expected (B K, F), (B, F), (B, D) "
                    "and (B K, D)",
                    op, draws.shape().str(), mask.shape().str(), raw.shape().str(), rows.shape().str()));
  const cuda::LineArrays line{lines.value.ptr<float>(), lines.slope.ptr<float>(), lines.least.ptr<float>(),
                              lines.greatest.ptr<float>()};
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH_CUDA(
      ctx, cpu_has_other,
      complete_rows(ctx, arrays, line, feature.ptr<std::int32_t>(), mat<float>(draws), mat<float>(mask),
                    mat<float>(raw), mat<float>(rows), counts.ptr<std::int32_t>()));
}

}  // namespace emshap::ops
