#include "emshap/ops/dropout.h"

#include "ops/checks.h"
#include "ops/dispatch.h"

#define EMSHAP_BACKEND_HEADER "ops/dropout_backend.h"
#include "ops/backends.h"

namespace emshap::ops {
namespace {

void apply(Context& ctx, const char* op, check::Named x, double p, const RandomKey& key, check::Named y,
           const TensorView& out) {
  check::same_kind(op, ctx, {x, y});
  check::same_extent(op, y, x);
  if (!(p >= 0 && p < 1))
    throw ConfigError(fmt::format("{}: p is {}, expected a probability 0 <= p < 1", op, p));
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, x.view.dtype(), dropout_apply<T>(ctx, mat<T>(x.view), p, key, mat<T>(out)));
}

}  // namespace

void dropout_forward(Context& ctx, ConstTensorView x, double p, const RandomKey& key, TensorView y) {
  apply(ctx, "dropout_forward", {"x", x}, p, key, {"y", y}, y);
}

void dropout_backward(Context& ctx, ConstTensorView dy, double p, const RandomKey& key, TensorView dx) {
  apply(ctx, "dropout_backward", {"dy", dy}, p, key, {"dx", dx}, dx);
}

}  // namespace emshap::ops
