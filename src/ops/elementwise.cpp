#include "emshap/ops/elementwise.h"

#include "ops/checks.h"
#include "ops/dispatch.h"

#define EMSHAP_BACKEND_HEADER "ops/elementwise_backend.h"
#include "ops/backends.h"

namespace emshap::ops {

void fill(Context& ctx, double value, TensorView y) {
  constexpr const char* op = "fill";
  check::same_kind(op, ctx, {{"y", y}});
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, y.dtype(), fill<T>(ctx, value, mat<T>(y)));
}

void fill_shared(Context& ctx, double value, TensorView y) {
  constexpr const char* op = "fill_shared";
  check::same_kind(op, ctx, {{"y", y}});
  check::contiguous(op, {"y", y}, "it is split among the members by ranges of elements");
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, y.dtype(), fill_shared<T>(ctx, value, mat<T>(y)));
}

void copy(Context& ctx, ConstTensorView x, TensorView y) {
  constexpr const char* op = "copy";
  check::same_kind(op, ctx, {{"x", x}});
  check::same_kind(op, ctx, {{"y", y}});
  check::same_extent(op, {"y", y}, {"x", x});
  EMSHAP_TRACE(ctx, op);
  if (y.dtype() == DType::f32) {
    EMSHAP_DISPATCH(ctx, x.dtype(), copy<T, float>(ctx, mat<T>(x), mat<float>(y)));
  } else {
    EMSHAP_DISPATCH(ctx, x.dtype(), copy<T, double>(ctx, mat<T>(x), mat<double>(y)));
  }
}

void add(Context& ctx, ConstTensorView a, ConstTensorView b, TensorView y) {
  constexpr const char* op = "add";
  check::same_kind(op, ctx, {{"a", a}, {"b", b}, {"y", y}});
  check::same_extent(op, {"b", b}, {"a", a});
  check::same_extent(op, {"y", y}, {"a", a});
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, a.dtype(), add<T>(ctx, mat<T>(a), mat<T>(b), mat<T>(y)));
}

void multiply(Context& ctx, ConstTensorView a, ConstTensorView b, TensorView y) {
  constexpr const char* op = "multiply";
  check::same_kind(op, ctx, {{"a", a}, {"b", b}, {"y", y}});
  check::same_extent(op, {"b", b}, {"a", a});
  check::same_extent(op, {"y", y}, {"a", a});
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, a.dtype(), multiply<T>(ctx, mat<T>(a), mat<T>(b), mat<T>(y)));
}

void affine(Context& ctx, ConstTensorView x, double scale, double shift, TensorView y) {
  constexpr const char* op = "affine";
  check::same_kind(op, ctx, {{"x", x}, {"y", y}});
  check::same_extent(op, {"y", y}, {"x", x});
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, x.dtype(), affine<T>(ctx, mat<T>(x), scale, shift, mat<T>(y)));
}

void axpy(Context& ctx, double alpha, ConstTensorView x, TensorView y) {
  constexpr const char* op = "axpy";
  check::same_kind(op, ctx, {{"x", x}, {"y", y}});
  check::same_extent(op, {"y", y}, {"x", x});
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, x.dtype(), axpy<T>(ctx, alpha, mat<T>(x), mat<T>(y)));
}

void scale_shift_columns(Context& ctx, ConstTensorView x, ConstTensorView scale, ConstTensorView shift,
                         TensorView y) {
  constexpr const char* op = "scale_shift_columns";
  check::same_kind(op, ctx, {{"x", x}, {"scale", scale}, {"shift", shift}, {"y", y}});
  check::per_column(op, {"scale", scale}, {"x", x});
  check::per_column(op, {"shift", shift}, {"x", x});
  check::same_extent(op, {"y", y}, {"x", x});
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, x.dtype(),
                  scale_shift_columns<T>(ctx, mat<T>(x), mat<T>(scale), mat<T>(shift), mat<T>(y)));
}

}  // namespace emshap::ops
