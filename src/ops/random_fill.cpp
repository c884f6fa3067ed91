#include "emshap/ops/random_fill.h"

#include <cmath>

#include "ops/checks.h"
#include "ops/dispatch.h"

#define EMSHAP_BACKEND_HEADER "ops/random_fill_backend.h"
#include "ops/backends.h"

namespace emshap::ops {

void fill_uniform(Context& ctx, const RandomKey& key, double low, double high, TensorView y) {
  constexpr const char* op = "fill_uniform";
  check::same_kind(op, ctx, {{"y", y}});
  if (!(std::isfinite(low) && std::isfinite(high) && low <= high))
    throw ConfigError(
        fmt::format("{}: the range is ({}, {}), expected finite numbers in order", op, low, high));
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, y.dtype(), fill_uniform<T>(ctx, key, low, high, mat<T>(y)));
}

void fill_normal(Context& ctx, const RandomKey& key, double mean, double sd, TensorView y) {
  constexpr const char* op = "fill_normal";
  check::same_kind(op, ctx, {{"y", y}});
  if (!(std::isfinite(mean) && std::isfinite(sd) && sd >= 0))
    throw ConfigError(
        fmt::format("{}: mean is {} and sd {}, expected finite numbers and sd >= 0", op, mean, sd));
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, y.dtype(), fill_normal<T>(ctx, key, mean, sd, mat<T>(y)));
}

}  // namespace emshap::ops
