#include "emshap/ops/gaussian_base.h"

#include "ops/checks.h"
#include "ops/dispatch.h"

#define EMSHAP_BACKEND_HEADER "ops/gaussian_base_backend.h"
#include "ops/backends.h"

namespace emshap::ops {
namespace {

/// mean and cov of `features` features in float64 on the context's device; `mean` may be absent.
void check_base(const char* op, const Context& ctx, const ConstTensorView* mean, const ConstTensorView& cov,
                std::int64_t features) {
  constexpr const char* why = "the rows have as many features";
  if (mean != nullptr) {
    check::same_kind(op, ctx, {{"mean", *mean}, {"cov", cov}});
    check::vector(op, {"mean", *mean}, features, why);
  } else {
    check::same_kind(op, ctx, {{"cov", cov}});
  }
  check::shape(op, {"cov", cov}, {features, features}, why);
  if (cov.dtype() != DType::f64)
    throw DTypeError(fmt::format("{}: mean and cov hold {}, expected f64", op, to_string(cov.dtype())));
}

/// `sequence` (B, F) and `count` (B), both i32, with numbers within F; count may be -1 where `optional`.
void check_sequences(const char* op, const Context& ctx, check::Named sequence, check::Named count,
                     std::int64_t features, bool position) {
  check::same_kind(op, ctx, {sequence, count});
  if (sequence.view.dtype() != DType::i32)
    throw DTypeError(
        fmt::format("{}: {} holds {}, expected i32", op, sequence.name, to_string(sequence.view.dtype())));
  if (sequence.view.cols() != features)
    throw ShapeError(fmt::format("{}: {} has shape {}, expected {} columns", op, sequence.name,
                                 sequence.view.shape().str(), features));
  check::vector(op, count, sequence.view.rows(), "there is one for each sequence");
  if (ctx.device().kind != DeviceKind::cpu) return;
  const Mat<const std::int32_t> s = mat<std::int32_t>(sequence.view), n = mat<std::int32_t>(count.view);
  for (std::int64_t b = 0; b < s.rows; ++b) {
    const std::int64_t entry = n.data[b], low = position ? -1 : 0, high = position ? features - 1 : features;
    if (entry < low || entry > high)
      throw ShapeError(
          fmt::format("{}: {} {} is {}, expected {} to {}", op, count.name, b, entry, low, high));
    for (std::int64_t i = 0; i < (position ? entry + 1 : entry); ++i)
      if (s.row(b)[i] < 0 || s.row(b)[i] >= features)
        throw ShapeError(fmt::format("{}: {} names feature {} in row {}, expected 0 to {}", op, sequence.name,
                                     s.row(b)[i], b, features - 1));
  }
}

/// A (B, F, F) output.
void check_block(const char* op, check::Named a, std::int64_t rows, std::int64_t features) {
  check::shape(op, a, {rows, features, features}, "it holds features by features for each row");
}

}  // namespace

void base_prefix_moments(Context& ctx, ConstTensorView mean, ConstTensorView cov, ConstTensorView x,
                         ConstTensorView order, ConstTensorView count, TensorView mu, TensorView log_sd) {
  constexpr const char* op = "base_prefix_moments";
  const std::int64_t F = x.cols();
  check::same_kind(op, ctx, {{"x", x}, {"mu", mu}, {"log_sd", log_sd}});
  check_base(op, ctx, &mean, cov, F);
  check_sequences(op, ctx, {"order", order}, {"count", count}, F, false);
  check::same_extent(op, {"order", order}, {"x", x});
  check_block(op, {"mu", mu}, x.rows(), F);
  check_block(op, {"log_sd", log_sd}, x.rows(), F);
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(
      ctx, x.dtype(),
      base_prefix_moments<T>(ctx, mat<double>(mean), mat<double>(cov), mat<T>(x), mat<std::int32_t>(order),
                             mat<std::int32_t>(count), mat<T>(mu), mat<T>(log_sd)));
}

void base_conditionals(Context& ctx, ConstTensorView mean, ConstTensorView cov, ConstTensorView x,
                       ConstTensorView mask, TensorView mu, TensorView log_sd) {
  constexpr const char* op = "base_conditionals";
  check::same_kind(op, ctx, {{"x", x}, {"mask", mask}, {"mu", mu}, {"log_sd", log_sd}});
  check_base(op, ctx, &mean, cov, x.cols());
  check::same_extent(op, {"mask", mask}, {"x", x});
  check::same_extent(op, {"mu", mu}, {"x", x});
  check::same_extent(op, {"log_sd", log_sd}, {"x", x});
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, x.dtype(),
                  base_conditionals<T>(ctx, mat<double>(mean), mat<double>(cov), mat<T>(x), mat<T>(mask),
                                       mat<T>(mu), mat<T>(log_sd)));
}

void base_gains(Context& ctx, ConstTensorView cov, ConstTensorView sequence, ConstTensorView count,
                TensorView gains, TensorView log_sd) {
  constexpr const char* op = "base_gains";
  const std::int64_t F = sequence.cols();
  check::same_kind(op, ctx, {{"gains", gains}, {"log_sd", log_sd}});
  check_base(op, ctx, nullptr, cov, F);
  check_sequences(op, ctx, {"sequence", sequence}, {"count", count}, F, false);
  check_block(op, {"gains", gains}, sequence.rows(), F);
  check::same_extent(op, {"log_sd", log_sd}, {"sequence", sequence});
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, gains.dtype(),
                  base_gains<T>(ctx, mat<double>(cov), mat<std::int32_t>(sequence), mat<std::int32_t>(count),
                                mat<T>(gains), mat<T>(log_sd)));
}

void base_update(Context& ctx, ConstTensorView gains, ConstTensorView sequence, ConstTensorView position,
                 ConstTensorView x, TensorView mean) {
  constexpr const char* op = "base_update";
  const std::int64_t F = sequence.cols(), B = sequence.rows();
  check::same_kind(op, ctx, {{"x", x}, {"gains", gains}, {"mean", mean}});
  check_sequences(op, ctx, {"sequence", sequence}, {"position", position}, F, true);
  check_block(op, {"gains", gains}, B, F);
  check::same_extent(op, {"mean", mean}, {"x", x});
  if (x.cols() != F || (B == 0 ? x.rows() != 0 : x.rows() % B != 0))
    throw ShapeError(
        fmt::format("{}: x has shape {}, expected {} columns and a multiple of {} rows because "
                    "there are {} sequences of {} features",
                    op, x.shape().str(), F, B, B, F));
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, x.dtype(),
                  base_update<T>(ctx, mat<T>(gains), mat<std::int32_t>(sequence), mat<std::int32_t>(position),
                                 mat<T>(x), mat<T>(mean)));
}

}  // namespace emshap::ops
