#include "emshap/ops/reduction.h"

#include "ops/checks.h"
#include "ops/dispatch.h"

#define EMSHAP_BACKEND_HEADER "ops/reduction_backend.h"
#include "ops/backends.h"

namespace emshap::ops {

void sum_over_rows(Context& ctx, ConstTensorView x, TensorView out) {
  constexpr const char* op = "sum_over_rows";
  check::same_kind(op, ctx, {{"x", x}, {"out", out}});
  check::per_column(op, {"out", out}, {"x", x});
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, x.dtype(), sum_over_rows<T>(ctx, mat<T>(x), mat<T>(out)));
}

void sum_over_columns(Context& ctx, ConstTensorView x, TensorView out) {
  constexpr const char* op = "sum_over_columns";
  check::same_kind(op, ctx, {{"x", x}, {"out", out}});
  check::vector(op, {"out", out}, x.rows(), "it gets one sum for each row of x");
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, x.dtype(), sum_over_columns<T>(ctx, mat<T>(x), mat<T>(out)));
}

void sum(Context& ctx, ConstTensorView x, TensorView out) {
  constexpr const char* op = "sum";
  check::same_kind(op, ctx, {{"x", x}, {"out", out}});
  check::vector(op, {"out", out}, 1, "it gets one sum");
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, x.dtype(), sum<T>(ctx, mat<T>(x), mat<T>(out)));
}

void sum_of_squares_shared(Context& ctx, ConstTensorView x, TensorView out) {
  constexpr const char* op = "sum_of_squares_shared";
  check::same_kind(op, ctx, {{"x", x}, {"out", out}});
  check::contiguous(op, {"x", x}, "it is summed in fixed blocks of elements");
  check::vector(op, {"out", out}, 1, "it gets one sum");
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, x.dtype(), sum_of_squares_shared<T>(ctx, mat<T>(x), mat<T>(out)));
}

void log_sum_exp(Context& ctx, ConstTensorView x, TensorView out) {
  constexpr const char* op = "log_sum_exp";
  check::same_kind(op, ctx, {{"x", x}, {"out", out}});
  check::vector(op, {"out", out}, x.rows(), "it gets one value for each row of x");
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, x.dtype(), log_sum_exp<T>(ctx, mat<T>(x), mat<T>(out)));
}

void log_sum_exp_backward(Context& ctx, ConstTensorView x, ConstTensorView out, ConstTensorView dout,
                          TensorView dx) {
  constexpr const char* op = "log_sum_exp_backward";
  check::same_kind(op, ctx, {{"x", x}, {"out", out}, {"dout", dout}, {"dx", dx}});
  check::same_extent(op, {"dx", dx}, {"x", x});
  check::vector(op, {"out", out}, x.rows(), "it has one value for each row of x");
  check::vector(op, {"dout", dout}, x.rows(), "it has one value for each row of x");
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, x.dtype(),
                  log_sum_exp_backward<T>(ctx, mat<T>(x), mat<T>(out), mat<T>(dout), mat<T>(dx)));
}

}  // namespace emshap::ops
