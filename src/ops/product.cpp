#include "emshap/ops/product.h"

#include "ops/checks.h"
#include "ops/dispatch.h"

#define EMSHAP_BACKEND_HEADER "ops/product_backend.h"
#include "ops/backends.h"

namespace emshap::ops {
namespace {

void check_operands(const char* op, const Context& ctx, const ConstTensorView& a, std::int64_t rows,
                    std::int64_t inner, const ConstTensorView& b, const ConstTensorView& y) {
  check::same_kind(op, ctx, {{"a", a}, {"b", b}, {"y", y}});
  if (b.rows() != inner || y.rows() != rows || y.cols() != b.cols())
    throw ShapeError(fmt::format("{}: a has shape {}, b {} and y {}, which do not fit together", op,
                                 a.shape().str(), b.shape().str(), y.shape().str()));
}

}  // namespace

void add_product(Context& ctx, ConstTensorView a, ConstTensorView b, TensorView y) {
  constexpr const char* op = "add_product";
  check_operands(op, ctx, a, a.rows(), a.cols(), b, y);
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, y.dtype(), add_product<T>(ctx, mat<T>(a), mat<T>(b), mat<T>(y)));
}

void add_product_at(Context& ctx, ConstTensorView a, ConstTensorView b, TensorView y) {
  constexpr const char* op = "add_product_at";
  check_operands(op, ctx, a, a.cols(), a.rows(), b, y);
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, y.dtype(), add_product_at<T>(ctx, mat<T>(a), mat<T>(b), mat<T>(y)));
}

void add_column_sums(Context& ctx, ConstTensorView x, TensorView y) {
  constexpr const char* op = "add_column_sums";
  check::same_kind(op, ctx, {{"x", x}, {"y", y}});
  check::per_column(op, {"y", y}, {"x", x});
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, x.dtype(), add_column_sums<T>(ctx, mat<T>(x), mat<T>(y)));
}

void transpose(Context& ctx, ConstTensorView x, TensorView y) {
  constexpr const char* op = "transpose";
  check::same_kind(op, ctx, {{"x", x}, {"y", y}});
  if (y.rows() != x.cols() || y.cols() != x.rows())
    throw ShapeError(fmt::format("{}: y has shape {}, expected {} because x has shape {}", op,
                                 y.shape().str(), Shape{x.cols(), x.rows()}.str(), x.shape().str()));
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, x.dtype(), transpose<T>(ctx, mat<T>(x), mat<T>(y)));
}

}  // namespace emshap::ops
