#include "emshap/ops/set_head.h"

#include "ops/checks.h"
#include "ops/dispatch.h"

#define EMSHAP_BACKEND_HEADER "ops/set_head_backend.h"
#include "ops/backends.h"

namespace emshap::ops {
namespace {

/// What forward and backward share: pairs, states, activations and outputs.
void check_pairs(const char* op, const Context& ctx, const SetHeadPairs& pairs, check::Named state,
                 const ConstTensorView& u0, const ConstTensorView& u, check::Named out) {
  check::same_kind(op, ctx,
                   {{"u", u}, state, {"mean", pairs.mean}, {"log_sd", pairs.log_sd}, {"u0", u0}, out});
  check::same_kind(op, ctx, {{"index", pairs.index}});
  const std::int64_t P = u.rows(), H = state.view.cols();
  constexpr const char* why = "u has one row a pair";
  check::vector(op, {"index", pairs.index}, P, why);
  check::vector(op, {"mean", pairs.mean}, P, why);
  check::vector(op, {"log_sd", pairs.log_sd}, P, why);
  check::shape(op, {"u0", u0}, Shape{P, H}, "u has one row a pair and the state H columns");
  check::shape(op, {"u", u}, Shape{P, H}, "the state has H columns");
  check::shape(op, out, Shape{P, out.view.cols()}, why);
  const std::int32_t* index = pairs.index.ptr<std::int32_t>();
  if (ctx.device().kind != DeviceKind::cpu) return;
  std::int32_t least = 0, most = -1;
  for (std::int64_t p = 0; p < P; ++p) {
    least = index[p] < least ? index[p] : least;
    most = index[p] > most ? index[p] : most;
  }
  if (least >= 0 && most < state.view.rows()) return;
  for (std::int64_t p = 0; p < P; ++p)
    if (index[p] < 0 || index[p] >= state.view.rows())
      throw ShapeError(fmt::format("{}: index of pair {} is {}, expected 0 to {} because {} has {} rows", op,
                                   p, index[p], state.view.rows() - 1, state.name, state.view.rows()));
}

}  // namespace

void set_head_forward(Context& ctx, const SetHeadPairs& pairs, const SetHeadWeights& w, ConstTensorView state,
                      TensorView u0, TensorView u, TensorView out) {
  constexpr const char* op = "set_head_forward";
  check_pairs(op, ctx, pairs, {"state", state}, u0, u, {"out", out});
  check::same_kind(op, ctx,
                   {{"state", state},
                    {"moments", w.moments},
                    {"feature", w.feature},
                    {"hidden", w.hidden},
                    {"out weights", w.out},
                    {"bias", w.bias}});
  const std::int64_t H = state.cols(), O = out.cols();
  check::shape(op, {"moments", w.moments}, Shape{2, H}, "the state has H columns");
  check::vector(op, {"feature", w.feature}, H, "the state has H columns");
  check::shape(op, {"hidden", w.hidden}, Shape{H, H}, "the state has H columns");
  check::shape(op, {"out weights", w.out}, Shape{H, O}, "out has O columns");
  check::vector(op, {"bias", w.bias}, O, "out has O columns");
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(
      ctx, u.dtype(),
      set_head_forward<T>(ctx, pairs.index.ptr<std::int32_t>(), pairs.mean.ptr<T>(), pairs.log_sd.ptr<T>(),
                          mat<T>(w.moments), w.feature.ptr<T>(), mat<T>(w.hidden), mat<T>(w.out),
                          w.bias.ptr<T>(), mat<T>(state), mat<T>(u0), mat<T>(u), mat<T>(out)));
}

void set_head_backward(Context& ctx, const SetHeadPairs& pairs, ConstTensorView hidden_t,
                       ConstTensorView out_t, ConstTensorView dout, TensorView u0, TensorView u,
                       TensorView dstate, const SetHeadGradients& g) {
  constexpr const char* op = "set_head_backward";
  check_pairs(op, ctx, pairs, {"dstate", dstate}, u0, u, {"dout", dout});
  check::same_kind(op, ctx,
                   {{"dstate", dstate},
                    {"hidden_t", hidden_t},
                    {"out_t", out_t},
                    {"moments", g.moments},
                    {"feature", g.feature},
                    {"hidden", g.hidden},
                    {"out weights", g.out},
                    {"bias", g.bias}});
  const std::int64_t H = dstate.cols(), O = dout.cols();
  check::shape(op, {"hidden_t", hidden_t}, Shape{H, H}, "the state has H columns");
  check::shape(op, {"out_t", out_t}, Shape{O, H}, "dout has O columns");
  check::shape(op, {"moments", g.moments}, Shape{2, H}, "the state has H columns");
  check::vector(op, {"feature", g.feature}, H, "the state has H columns");
  check::shape(op, {"hidden", g.hidden}, Shape{H, H}, "the state has H columns");
  check::shape(op, {"out weights", g.out}, Shape{H, O}, "dout has O columns");
  check::vector(op, {"bias", g.bias}, O, "dout has O columns");
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, u.dtype(),
                  set_head_backward<T>(ctx, pairs.index.ptr<std::int32_t>(), pairs.mean.ptr<T>(),
                                       pairs.log_sd.ptr<T>(), mat<T>(hidden_t), mat<T>(out_t), mat<T>(dout),
                                       mat<T>(u0), mat<T>(u), mat<T>(dstate), mat<T>(g.moments),
                                       g.feature.ptr<T>(), mat<T>(g.hidden), mat<T>(g.out), g.bias.ptr<T>()));
}

}  // namespace emshap::ops
