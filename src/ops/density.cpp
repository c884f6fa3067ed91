#include "emshap/ops/density.h"

#include "ops/checks.h"
#include "ops/dispatch.h"

#define EMSHAP_BACKEND_HEADER "ops/density_backend.h"
#include "ops/backends.h"

namespace emshap::ops {
namespace {

using check::Named;

/// P numbers: any shape without gaps, or a column.
void numbers(const char* op, Named a, std::int64_t pairs, const char* of) {
  if (a.view.elements() != pairs)
    throw ShapeError(fmt::format("{}: {} has {} elements, expected {}, one for each row of {}", op, a.name,
                                 a.view.elements(), pairs, of));
  if (!a.view.contiguous() && a.view.cols() != 1)
    throw ShapeError(
        fmt::format("{}: {} has rows {} elements apart, expected one column or no gaps between rows", op,
                    a.name, a.view.row_stride()));
}

void optional_numbers(const char* op, Named a, std::int64_t pairs, const char* of) {
  if (a.view.data() != nullptr) numbers(op, a, pairs, of);
}

void components(const char* op, Named mixture) {
  if (mixture.view.cols() % 3 != 0 || mixture.view.cols() == 0)
    throw ShapeError(fmt::format("{}: {} has {} columns, expected 3 for each of its components", op,
                                 mixture.name, mixture.view.cols()));
}

void optional_extent(const char* op, Named a, Named b) {
  if (a.view.data() != nullptr) check::same_extent(op, a, b);
}

void codes(const char* op, const Context& ctx, const ConstTensorView& code) {
  if (code.elements() == 0) return;
  if (code.device() != ctx.device())
    throw DeviceError(
        fmt::format("{}: code is on {}, expected {}", op, to_string(code.device()), to_string(ctx.device())));
  if (code.dtype() != DType::i32)
    throw DTypeError(fmt::format("{}: code holds {}, expected i32", op, to_string(code.dtype())));
}

/// Pairs P that R rows and N rows of uniforms serve in turn.
void shared_rows(const char* op, std::int64_t pairs, Named rows, Named uniforms, std::int64_t columns) {
  if (uniforms.view.cols() != columns)
    throw ShapeError(
        fmt::format("{}: uniforms has {} columns, expected {}", op, uniforms.view.cols(), columns));
  if (pairs == 0) return;
  for (const Named& a : {rows, uniforms})
    if (a.view.rows() == 0 || pairs % a.view.rows() != 0)
      throw ShapeError(fmt::format("{}: {} has {} rows, expected a divisor of the {} pairs", op, a.name,
                                   a.view.rows(), pairs));
}

}  // namespace

void mixture_loss(Context& ctx, ConstTensorView head, ConstTensorView mean, ConstTensorView log_sd,
                  ConstTensorView x, ConstTensorView weight, TensorView value, TensorView dhead) {
  constexpr const char* op = "mixture_loss";
  check::same_kind(op, ctx,
                   {{"head", head},
                    {"mean", mean},
                    {"log_sd", log_sd},
                    {"x", x},
                    {"weight", weight},
                    {"value", value},
                    {"dhead", dhead}});
  components(op, {"head", head});
  const Named vectors[] = {
      {"mean", mean}, {"log_sd", log_sd}, {"x", x}, {"weight", weight}, {"value", value}};
  for (const Named& v : vectors) numbers(op, v, head.rows(), "head");
  optional_extent(op, {"dhead", dhead}, {"head", head});
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, head.dtype(),
                  mixture_loss<T>(ctx, mat<T>(head), mat<T>(mean), mat<T>(log_sd), mat<T>(x), mat<T>(weight),
                                  mat<T>(value), mat<T>(dhead)));
}

void mixture_from_head(Context& ctx, ConstTensorView head, ConstTensorView mean, ConstTensorView log_sd,
                       ConstTensorView wanted, TensorView mixture) {
  constexpr const char* op = "mixture_from_head";
  check::same_kind(
      op, ctx,
      {{"head", head}, {"mean", mean}, {"log_sd", log_sd}, {"wanted", wanted}, {"mixture", mixture}});
  components(op, {"head", head});
  numbers(op, {"mean", mean}, head.rows(), "head");
  numbers(op, {"log_sd", log_sd}, head.rows(), "head");
  optional_numbers(op, {"wanted", wanted}, head.rows(), "head");
  check::same_extent(op, {"mixture", mixture}, {"head", head});
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(
      ctx, head.dtype(),
      mixture_from_head<T>(ctx, mat<T>(head), mat<T>(mean), mat<T>(log_sd), mat<T>(wanted), mat<T>(mixture)));
}

void mixture_log_density(Context& ctx, ConstTensorView mixture, ConstTensorView x, TensorView value) {
  constexpr const char* op = "mixture_log_density";
  check::same_kind(op, ctx, {{"mixture", mixture}, {"x", x}, {"value", value}});
  components(op, {"mixture", mixture});
  numbers(op, {"x", x}, mixture.rows(), "mixture");
  numbers(op, {"value", value}, mixture.rows(), "mixture");
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, mixture.dtype(),
                  mixture_log_density<T>(ctx, mat<T>(mixture), mat<T>(x), mat<T>(value)));
}

void mixture_log_interval(Context& ctx, ConstTensorView mixture, ConstTensorView left, ConstTensorView right,
                          TensorView value) {
  constexpr const char* op = "mixture_log_interval";
  check::same_kind(op, ctx, {{"mixture", mixture}, {"left", left}, {"right", right}, {"value", value}});
  components(op, {"mixture", mixture});
  numbers(op, {"left", left}, mixture.rows(), "mixture");
  numbers(op, {"right", right}, mixture.rows(), "mixture");
  numbers(op, {"value", value}, mixture.rows(), "mixture");
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, mixture.dtype(),
                  mixture_log_interval<T>(ctx, mat<T>(mixture), mat<T>(left), mat<T>(right), mat<T>(value)));
}

void mixture_moments(Context& ctx, ConstTensorView mixture, TensorView mean, TensorView variance) {
  constexpr const char* op = "mixture_moments";
  check::same_kind(op, ctx, {{"mixture", mixture}, {"mean", mean}, {"variance", variance}});
  components(op, {"mixture", mixture});
  numbers(op, {"mean", mean}, mixture.rows(), "mixture");
  numbers(op, {"variance", variance}, mixture.rows(), "mixture");
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, mixture.dtype(),
                  mixture_moments<T>(ctx, mat<T>(mixture), mat<T>(mean), mat<T>(variance)));
}

void mixture_draw(Context& ctx, ConstTensorView mixture, ConstTensorView uniforms, ConstTensorView wanted,
                  TensorView x, TensorView log_q) {
  constexpr const char* op = "mixture_draw";
  check::same_kind(
      op, ctx,
      {{"mixture", mixture}, {"uniforms", uniforms}, {"wanted", wanted}, {"x", x}, {"log_q", log_q}});
  components(op, {"mixture", mixture});
  shared_rows(op, x.elements(), {"mixture", mixture}, {"uniforms", uniforms}, 1);
  numbers(op, {"x", x}, x.elements(), "x");
  optional_numbers(op, {"wanted", wanted}, mixture.rows(), "mixture");
  optional_numbers(op, {"log_q", log_q}, x.elements(), "x");
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(
      ctx, mixture.dtype(),
      mixture_draw<T>(ctx, mat<T>(mixture), mat<T>(uniforms), mat<T>(wanted), mat<T>(x), mat<T>(log_q)));
}

void categorical_loss(Context& ctx, ConstTensorView logits, ConstTensorView frequencies, ConstTensorView code,
                      ConstTensorView weight, TensorView value, TensorView dlogits) {
  constexpr const char* op = "categorical_loss";
  check::same_kind(op, ctx,
                   {{"logits", logits},
                    {"frequencies", frequencies},
                    {"weight", weight},
                    {"value", value},
                    {"dlogits", dlogits}});
  codes(op, ctx, code);
  check::per_column(op, {"frequencies", frequencies}, {"logits", logits});
  numbers(op, {"code", code}, logits.rows(), "logits");
  numbers(op, {"weight", weight}, logits.rows(), "logits");
  numbers(op, {"value", value}, logits.rows(), "logits");
  optional_extent(op, {"dlogits", dlogits}, {"logits", logits});
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, logits.dtype(),
                  categorical_loss<T>(ctx, mat<T>(logits), mat<T>(frequencies), mat<std::int32_t>(code),
                                      mat<T>(weight), mat<T>(value), mat<T>(dlogits)));
}

void categorical_log_probabilities(Context& ctx, ConstTensorView logits, ConstTensorView frequencies,
                                   ConstTensorView wanted, TensorView log_p) {
  constexpr const char* op = "categorical_log_probabilities";
  check::same_kind(op, ctx,
                   {{"logits", logits}, {"frequencies", frequencies}, {"wanted", wanted}, {"log_p", log_p}});
  check::per_column(op, {"frequencies", frequencies}, {"logits", logits});
  optional_numbers(op, {"wanted", wanted}, logits.rows(), "logits");
  check::same_extent(op, {"log_p", log_p}, {"logits", logits});
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, logits.dtype(),
                  categorical_log_probabilities<T>(ctx, mat<T>(logits), mat<T>(frequencies), mat<T>(wanted),
                                                   mat<T>(log_p)));
}

void categorical_draw(Context& ctx, ConstTensorView log_p, ConstTensorView uniforms, ConstTensorView wanted,
                      TensorView code, TensorView log_q) {
  constexpr const char* op = "categorical_draw";
  check::same_kind(op, ctx, {{"log_p", log_p}, {"uniforms", uniforms}, {"wanted", wanted}, {"log_q", log_q}});
  codes(op, ctx, code);
  shared_rows(op, code.elements(), {"log_p", log_p}, {"uniforms", uniforms}, 1);
  numbers(op, {"code", code}, code.elements(), "code");
  optional_numbers(op, {"wanted", wanted}, log_p.rows(), "log_p");
  optional_numbers(op, {"log_q", log_q}, code.elements(), "code");
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, log_p.dtype(),
                  categorical_draw<T>(ctx, mat<T>(log_p), mat<T>(uniforms), mat<T>(wanted),
                                      mat<std::int32_t>(code), mat<T>(log_q)));
}

void categorical_values(Context& ctx, ConstTensorView values, ConstTensorView code, TensorView x) {
  constexpr const char* op = "categorical_values";
  check::same_kind(op, ctx, {{"values", values}, {"x", x}});
  codes(op, ctx, code);
  check::vector(op, {"values", values}, values.elements(), "it is a list");
  numbers(op, {"code", code}, x.elements(), "x");
  numbers(op, {"x", x}, x.elements(), "x");
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, values.dtype(),
                  categorical_values<T>(ctx, mat<T>(values), mat<std::int32_t>(code), mat<T>(x)));
}

}  // namespace emshap::ops
