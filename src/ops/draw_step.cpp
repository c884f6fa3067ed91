#include "emshap/ops/draw_step.h"

#include "ops/checks.h"
#include "ops/dispatch.h"

#define EMSHAP_BACKEND_HEADER "ops/draw_step_backend.h"
#include "ops/backends.h"

namespace emshap::ops {
namespace {

void check_states(const char* op, const ConstTensorView& h, std::int64_t pairs) {
  if (h.rows() != pairs && h.rows() != 1)
    throw ShapeError(fmt::format("{}: h has shape {}, expected one row or {}, one for each pair", op,
                                 h.shape().str(), pairs));
}

}  // namespace

void draw_from_state(Context& ctx, ConstTensorView h, ConstTensorView mean, double log_sd,
                     ConstTensorView state, const SetHeadWeights& w, ConstTensorView uniform, TensorView x,
                     TensorView log_q) {
  constexpr const char* op = "draw_from_state";
  check::same_kind(op, ctx,
                   {{"h", h},
                    {"mean", mean},
                    {"state", state},
                    {"moments", w.moments},
                    {"feature", w.feature},
                    {"hidden", w.hidden},
                    {"out weights", w.out},
                    {"bias", w.bias},
                    {"uniform", uniform},
                    {"x", x},
                    {"log_q", log_q}});
  const std::int64_t P = x.cols(), H = h.cols(), O = w.out.cols();
  constexpr const char *a_pair = "x has one number a pair", *a_unit = "the state has H columns";
  check::vector(op, {"x", x}, P, a_pair);
  check::vector(op, {"uniform", uniform}, P, a_pair);
  if (log_q.elements() > 0) check::vector(op, {"log_q", log_q}, P, a_pair);
  if (P == 0) return;
  check_states(op, h, P);
  check::vector(op, {"mean", mean}, h.rows(), "there is one mean a state");
  check::shape(op, {"state", state}, Shape{H, H}, a_unit);
  check::shape(op, {"moments", w.moments}, Shape{2, H}, a_unit);
  check::vector(op, {"feature", w.feature}, H, a_unit);
  check::shape(op, {"hidden", w.hidden}, Shape{H, H}, a_unit);
  check::shape(op, {"out weights", w.out}, Shape{H, O}, a_unit);
  check::vector(op, {"bias", w.bias}, O, "the head has O outputs");
  if (O % 3 != 0 || O == 0)
    throw ShapeError(
        fmt::format("{}: the head has {} outputs, expected 3 for each component of a mixture", op, O));
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(
      ctx, x.dtype(),
      draw_from_state<T>(ctx, mat<T>(h), mean.ptr<T>(), log_sd, mat<T>(state), mat<T>(w.moments),
                         w.feature.ptr<T>(), mat<T>(w.hidden), mat<T>(w.out), w.bias.ptr<T>(),
                         uniform.ptr<T>(), x.ptr<T>(), log_q.elements() > 0 ? log_q.ptr<T>() : nullptr, P));
}

void advance_state(Context& ctx, ConstTensorView h, ConstTensorView value, ConstTensorView wa,
                   ConstTensorView wb, ConstTensorView slot, ConstTensorView weight, ConstTensorView bias,
                   TensorView h_next) {
  constexpr const char* op = "advance_state";
  check::same_kind(op, ctx,
                   {{"h", h},
                    {"value", value},
                    {"wa", wa},
                    {"wb", wb},
                    {"weight", weight},
                    {"bias", bias},
                    {"h_next", h_next}});
  const std::int64_t P = h_next.rows(), H = h_next.cols();
  constexpr const char* a_gate = "the state has H columns, and there are 3 gates";
  check::vector(op, {"value", value}, P, "h_next has one row a pair");
  if (P == 0) return;
  check_states(op, h, P);
  check::vector(op, {"wa", wa}, 3 * H, a_gate);
  check::shape(op, {"wb", wb}, Shape{wb.rows(), 3 * H}, a_gate);
  check::shape(op, {"weight", weight}, Shape{H, 3 * H}, a_gate);
  check::vector(op, {"bias", bias}, 3 * H, a_gate);
  if (h.cols() != H || wb.rows() == 0)
    throw ShapeError(fmt::format("{}: h has shape {} and wb {}, expected {} columns and a row or more", op,
                                 h.shape().str(), wb.shape().str(), H));
  const bool slots = slot.elements() > 0;
  if (slots) {
    check::same_kind(op, ctx, {{"slot", slot}});
    check::vector(op, {"slot", slot}, P, "h_next has one row a pair");
  }
  if (slots && ctx.device().kind == DeviceKind::cpu)
    for (std::int64_t p = 0; p < P; ++p)
      if (slot.ptr<std::int32_t>()[p] < 0 || slot.ptr<std::int32_t>()[p] >= wb.rows())
        throw ShapeError(fmt::format("{}: slot of pair {} is {}, expected 0 to {}", op, p,
                                     slot.ptr<std::int32_t>()[p], wb.rows() - 1));
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, h_next.dtype(),
                  advance_state<T>(ctx, mat<T>(h), value.ptr<T>(), wa.ptr<T>(), mat<T>(wb),
                                   slots ? slot.ptr<std::int32_t>() : nullptr, mat<T>(weight), bias.ptr<T>(),
                                   mat<T>(h_next)));
}

}  // namespace emshap::ops
