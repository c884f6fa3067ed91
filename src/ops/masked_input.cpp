#include "emshap/ops/masked_input.h"

#include "ops/checks.h"
#include "ops/dispatch.h"

#define EMSHAP_BACKEND_HEADER "ops/masked_input_backend.h"
#include "ops/backends.h"

namespace emshap::ops {

void random_masks(Context& ctx, const RandomKey& key, std::int64_t first_row, std::span<const double> sizes,
                  double scale, ConstTensorView observed, TensorView mask, TensorView weight) {
  constexpr const char* op = "random_masks";
  check::same_kind(op, ctx, {{"observed", observed}, {"mask", mask}, {"weight", weight}});
  check::same_extent(op, {"mask", mask}, {"observed", observed});
  check::same_extent(op, {"weight", weight}, {"observed", observed});
  if (static_cast<std::int64_t>(sizes.size()) != observed.cols())
    throw ShapeError(fmt::format("{}: {} weights of sizes, expected {} because observed has {} columns", op,
                                 sizes.size(), observed.cols(), observed.cols()));
  for (const double s : sizes)
    if (!(s >= 0)) throw ConfigError(fmt::format("{}: a size has the weight {}, expected 0 or more", op, s));
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, observed.dtype(),
                  random_masks<T>(ctx, key, first_row, sizes.data(), scale, mat<T>(observed), mat<T>(mask),
                                  mat<T>(weight)));
}

void masked_input(Context& ctx, ConstTensorView x, ConstTensorView mask, ConstTensorView mu,
                  ConstTensorView log_sd, ConstTensorView code, ConstTensorView offset, TensorView y) {
  constexpr const char* op = "masked_input";
  check::same_kind(op, ctx, {{"x", x}, {"mask", mask}, {"mu", mu}, {"log_sd", log_sd}, {"y", y}});
  for (const check::Named& a :
       {check::Named{"mask", mask}, check::Named{"mu", mu}, check::Named{"log_sd", log_sd}})
    check::same_extent(op, a, {"x", x});
  const std::int64_t F = x.cols(), V = y.cols() - 4 * F;
  if (y.rows() != x.rows() || V < 0)
    throw ShapeError(
        fmt::format("{}: y has shape {}, expected {} rows and at least {} columns because x has shape {}", op,
                    y.shape().str(), x.rows(), 4 * F, x.shape().str()));
  if (V > 0) {
    check::same_kind(op, ctx, {{"offset", offset}, {"code", code}});
    check::same_extent(op, {"code", code}, {"x", x});
    check::vector(op, {"offset", offset}, F + 1, "x has one column less");
  }
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, x.dtype(),
                  masked_input<T>(ctx, mat<T>(x), mat<T>(mask), mat<T>(mu), mat<T>(log_sd),
                                  V > 0 ? mat<std::int32_t>(code) : Mat<const std::int32_t>(),
                                  V > 0 ? mat<std::int32_t>(offset) : Mat<const std::int32_t>(), mat<T>(y)));
}

}  // namespace emshap::ops
