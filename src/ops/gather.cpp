#include "emshap/ops/gather.h"

#include "ops/checks.h"
#include "ops/dispatch.h"

#define EMSHAP_BACKEND_HEADER "ops/gather_backend.h"
#include "ops/backends.h"

namespace emshap::ops {
namespace {

void check_rows(const char* op, const Context& ctx, check::Named rows, check::Named table,
                const ConstTensorView& index) {
  check::same_kind(op, ctx, {rows, table});
  check::same_kind(op, ctx, {{"index", index}});
  check::vector(op, {"index", index}, rows.view.rows(), "there is one index a row");
  if (rows.view.cols() != table.view.cols())
    throw ShapeError(fmt::format("{}: {} has shape {}, expected {} columns as {}", op, rows.name,
                                 rows.view.shape().str(), table.view.cols(), table.name));
  const std::int32_t* values = index.ptr<std::int32_t>();
  if (ctx.device().kind != DeviceKind::cpu) return;
  for (std::int64_t b = 0; b < rows.view.rows(); ++b)
    if (values[b] < 0 || values[b] >= table.view.rows())
      throw ShapeError(fmt::format("{}: index {} is {}, expected 0 to {} because {} has {} rows", op, b,
                                   values[b], table.view.rows() - 1, table.name, table.view.rows()));
}

}  // namespace

void gather_rows(Context& ctx, ConstTensorView table, ConstTensorView index, TensorView y) {
  constexpr const char* op = "gather_rows";
  check_rows(op, ctx, {"y", y}, {"table", table}, index);
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, y.dtype(), gather_rows<T>(ctx, mat<T>(table), index.ptr<std::int32_t>(), mat<T>(y)));
}

void scatter_rows(Context& ctx, ConstTensorView x, ConstTensorView index, TensorView table) {
  constexpr const char* op = "scatter_rows";
  check_rows(op, ctx, {"x", x}, {"table", table}, index);
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, x.dtype(), scatter_rows<T>(ctx, mat<T>(x), index.ptr<std::int32_t>(), mat<T>(table)));
}

void scatter_add_rows(Context& ctx, ConstTensorView x, ConstTensorView index, TensorView table) {
  constexpr const char* op = "scatter_add_rows";
  check_rows(op, ctx, {"x", x}, {"table", table}, index);
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, x.dtype(),
                  scatter_add_rows<T>(ctx, mat<T>(x), index.ptr<std::int32_t>(), mat<T>(table)));
}

void sum_table_lines(Context& ctx, ConstTensorView table, ConstTensorView index, ConstTensorView factor,
                     ConstTensorView base, Activation activation, TensorView y) {
  constexpr const char* op = "sum_table_lines";
  check::same_kind(op, ctx, {{"table", table}, {"factor", factor}, {"base", base}, {"y", y}});
  check::same_kind(op, ctx, {{"index", index}});
  check::same_extent(op, {"index", index}, {"factor", factor});
  check::vector(op, {"base", base}, y.cols(), "there is one number a column of y");
  if (index.dtype() != DType::i32)
    throw DTypeError(fmt::format("{}: index holds {}, expected i32", op, to_string(index.dtype())));
  if (table.cols() != 2 * y.cols() || index.rows() != y.rows())
    throw ShapeError(fmt::format("{}: table has shape {} and index {}, expected (N, {}) and ({}, n)", op,
                                 table.shape().str(), index.shape().str(), 2 * y.cols(), y.rows()));
  if (activation != Activation::identity && activation != Activation::relu)
    throw ConfigError(
        fmt::format("{}: the activation is {}, expected identity or relu", op, to_string(activation)));
  const auto k = mat<std::int32_t>(index);
  if (ctx.device().kind == DeviceKind::cpu)
    for (std::int64_t b = 0; b < k.rows; ++b) {
      const auto lines = static_cast<std::uint32_t>(table.rows());
      std::uint32_t outside = 0;
      for (std::int64_t i = 0; i < k.cols; ++i)
        outside |= static_cast<std::uint32_t>(k.row(b)[i]) >= lines ? 1u : 0u;
      for (std::int64_t i = 0; outside != 0 && i < k.cols; ++i)
        if (k.row(b)[i] < 0 || k.row(b)[i] >= table.rows())
          throw ShapeError(fmt::format("{}: an index of row {} is {}, expected 0 to {}", op, b, k.row(b)[i],
                                       table.rows() - 1));
    }
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, y.dtype(),
                  sum_table_lines<T>(ctx, mat<T>(table), k, mat<T>(factor), base.ptr<T>(),
                                     activation == Activation::relu, mat<T>(y)));
}

}  // namespace emshap::ops
