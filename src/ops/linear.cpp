#include "emshap/ops/linear.h"

#include "ops/checks.h"
#include "ops/dispatch.h"

#define EMSHAP_BACKEND_HEADER "ops/linear_backend.h"
#include "ops/backends.h"

namespace emshap::ops {
namespace {

std::string because_columns(const char* name, const ConstTensorView& view) {
  return fmt::format("{} has {} columns", name, view.cols());
}

void check_weights(const char* op, const ConstTensorView& w, std::int64_t inputs, std::int64_t outputs,
                   const std::string& why) {
  check::shape(op, {"w", w}, Shape{inputs, outputs}, why.c_str());
}

void check_rows(const char* op, check::Named a, check::Named b) {
  if (a.view.rows() != b.view.rows())
    throw ShapeError(fmt::format("{}: {} has {} rows, expected {} as {}", op, a.name, a.view.rows(),
                                 b.view.rows(), b.name));
}

}  // namespace

void linear_forward(Context& ctx, ConstTensorView x, ConstTensorView w, ConstTensorView bias,
                    Activation activation, TensorView y) {
  constexpr const char* op = "linear_forward";
  check::same_kind(op, ctx, {{"x", x}, {"w", w}, {"bias", bias}, {"y", y}});
  check_weights(op, w, x.cols(), y.cols(), because_columns("x", x) + " and " + because_columns("y", y));
  check_rows(op, {"y", y}, {"x", x});
  if (bias.data() != nullptr) check::vector(op, {"bias", bias}, y.cols(), because_columns("y", y).c_str());
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, x.dtype(),
                  linear_forward<T>(ctx, mat<T>(x), mat<T>(w), mat<T>(bias), activation, mat<T>(y)));
}

void linear_backward_input(Context& ctx, ConstTensorView dy, ConstTensorView w, TensorView dx,
                           bool accumulate) {
  constexpr const char* op = "linear_backward_input";
  check::same_kind(op, ctx, {{"dy", dy}, {"w", w}, {"dx", dx}});
  check_weights(op, w, dx.cols(), dy.cols(), because_columns("dx", dx) + " and " + because_columns("dy", dy));
  check_rows(op, {"dx", dx}, {"dy", dy});
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, dy.dtype(),
                  linear_backward_input<T>(ctx, mat<T>(dy), mat<T>(w), mat<T>(dx), accumulate));
}

void linear_backward_params(Context& ctx, ConstTensorView x, ConstTensorView dy, TensorView dw,
                            TensorView db) {
  constexpr const char* op = "linear_backward_params";
  check::same_kind(op, ctx, {{"x", x}, {"dy", dy}, {"dw", dw}, {"db", db}});
  check_rows(op, {"dy", dy}, {"x", x});
  check::shape(op, {"dw", dw}, Shape{x.cols(), dy.cols()},
               (because_columns("x", x) + " and " + because_columns("dy", dy)).c_str());
  if (!dw.contiguous())
    throw ShapeError(fmt::format("{}: dw has row stride {}, expected {}", op, dw.row_stride(), dw.cols()));
  if (db.data() != nullptr) check::vector(op, {"db", db}, dy.cols(), because_columns("dy", dy).c_str());
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, x.dtype(),
                  linear_backward_params<T>(ctx, mat<T>(x), mat<T>(dy), mat<T>(dw), mat<T>(db)));
}

}  // namespace emshap::ops
