#include "emshap/ops/recurrent.h"

#include "ops/checks.h"
#include "ops/dispatch.h"

#define EMSHAP_BACKEND_HEADER "ops/recurrent_backend.h"
#include "ops/backends.h"

namespace emshap::ops {
namespace {

/// `a` is (rows of h, gates H).
void check_gates(const char* op, check::Named a, const ConstTensorView& h, std::int64_t gates) {
  const Shape expected{h.rows(), gates * h.cols()};
  if (!(a.view.shape() == expected))
    throw ShapeError(fmt::format("{}: {} has shape {}, expected {} because the state has shape {}", op,
                                 a.name, a.view.shape().str(), expected.str(), h.shape().str()));
}

/// Values are checked on the CPU only.
void check_indices(const char* op, const Context& ctx, check::Named index, std::int64_t rows,
                   std::int64_t least, std::int64_t most) {
  check::same_kind(op, ctx, {index});
  check::vector(op, index, rows, "there is one entry a row");
  const std::int32_t* values = index.view.ptr<std::int32_t>();
  if (ctx.device().kind != DeviceKind::cpu) return;
  std::int64_t low = least, high = least;
  for (std::int64_t b = 0; b < rows; ++b) {
    low = values[b] < low ? values[b] : low;
    high = values[b] > high ? values[b] : high;
  }
  if (low >= least && high < most) return;
  for (std::int64_t b = 0; b < rows; ++b)
    if (values[b] < least || values[b] >= most)
      throw ShapeError(fmt::format("{}: {} of row {} is {}, expected {} to {}", op, index.name, b, values[b],
                                   least, most - 1));
}

void check_tokens(const char* op, const Context& ctx, const GruTokens& tokens, const ConstTensorView& h,
                  check::Named wa, check::Named wb) {
  check::vector(op, {"tokens.value", tokens.value}, h.rows(), "there is one entry a row");
  for (const check::Named& w : {wa, wb})
    if (w.view.cols() != 3 * h.cols())
      throw ShapeError(fmt::format("{}: {} has shape {}, expected {} columns because the state has {}", op,
                                   w.name, w.view.shape().str(), 3 * h.cols(), h.cols()));
  check_indices(op, ctx, {"tokens.feature", tokens.feature}, h.rows(), -1, wa.view.rows());
  check_indices(op, ctx, {"tokens.slot", tokens.slot}, h.rows(), -1, wb.view.rows());
  if (ctx.device().kind != DeviceKind::cpu) return;
  const std::int32_t *feature = tokens.feature.ptr<std::int32_t>(), *slot = tokens.slot.ptr<std::int32_t>();
  for (std::int64_t b = 0; b < h.rows(); ++b)
    if (feature[b] >= 0 && slot[b] < 0)
      throw ShapeError(
          fmt::format("{}: tokens.slot of row {} is -1, expected 0 or more because the row has a "
                      "token",
                      op, b));
}

}  // namespace

void gru_forward(Context& ctx, ConstTensorView gi, ConstTensorView gh, ConstTensorView h, TensorView h_next,
                 TensorView gates) {
  constexpr const char* op = "gru_forward";
  check::same_kind(op, ctx, {{"h", h}, {"gi", gi}, {"gh", gh}, {"h_next", h_next}, {"gates", gates}});
  check_gates(op, {"gi", gi}, h, 3);
  check_gates(op, {"gh", gh}, h, 3);
  check_gates(op, {"h_next", h_next}, h, 1);
  if (gates.data() != nullptr) check_gates(op, {"gates", gates}, h, 4);
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, h.dtype(),
                  gru_forward<T>(ctx, mat<T>(gi), mat<T>(gh), mat<T>(h), mat<T>(h_next), mat<T>(gates)));
}

void gru_backward(Context& ctx, ConstTensorView gates, ConstTensorView h, ConstTensorView dh_next,
                  TensorView dgi, TensorView dgh, TensorView dh) {
  constexpr const char* op = "gru_backward";
  check::same_kind(
      op, ctx, {{"h", h}, {"gates", gates}, {"dh_next", dh_next}, {"dgi", dgi}, {"dgh", dgh}, {"dh", dh}});
  check_gates(op, {"gates", gates}, h, 4);
  check_gates(op, {"dh_next", dh_next}, h, 1);
  check_gates(op, {"dgi", dgi}, h, 3);
  check_gates(op, {"dgh", dgh}, h, 3);
  check_gates(op, {"dh", dh}, h, 1);
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(
      ctx, h.dtype(),
      gru_backward<T>(ctx, mat<T>(gates), mat<T>(h), mat<T>(dh_next), mat<T>(dgi), mat<T>(dgh), mat<T>(dh)));
}

void gru_token_forward(Context& ctx, const GruTokens& tokens, ConstTensorView wa, ConstTensorView wb,
                       ConstTensorView gh, ConstTensorView h, TensorView h_next, TensorView gates) {
  constexpr const char* op = "gru_token_forward";
  check::same_kind(op, ctx,
                   {{"h", h},
                    {"tokens.value", tokens.value},
                    {"wa", wa},
                    {"wb", wb},
                    {"gh", gh},
                    {"h_next", h_next},
                    {"gates", gates}});
  check_gates(op, {"gh", gh}, h, 3);
  check_gates(op, {"h_next", h_next}, h, 1);
  if (gates.data() != nullptr) check_gates(op, {"gates", gates}, h, 4);
  check_tokens(op, ctx, tokens, h, {"wa", wa}, {"wb", wb});
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, h.dtype(),
                  gru_token_forward<T>(ctx, tokens.value.ptr<T>(), tokens.feature.ptr<std::int32_t>(),
                                       tokens.slot.ptr<std::int32_t>(), mat<T>(wa), mat<T>(wb), mat<T>(gh),
                                       mat<T>(h), mat<T>(h_next), mat<T>(gates)));
}

void gru_token_backward(Context& ctx, const GruTokens& tokens, ConstTensorView h, TensorView gates,
                        TensorView dh, TensorView dwa, TensorView dwb) {
  constexpr const char* op = "gru_token_backward";
  check::same_kind(
      op, ctx,
      {{"h", h}, {"tokens.value", tokens.value}, {"gates", gates}, {"dh", dh}, {"dwa", dwa}, {"dwb", dwb}});
  check_gates(op, {"gates", gates}, h, 4);
  check_gates(op, {"dh", dh}, h, 1);
  check_tokens(op, ctx, tokens, h, {"dwa", dwa}, {"dwb", dwb});
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, h.dtype(),
                  gru_token_backward<T>(ctx, tokens.value.ptr<T>(), tokens.feature.ptr<std::int32_t>(),
                                        tokens.slot.ptr<std::int32_t>(), mat<T>(h), mat<T>(gates), mat<T>(dh),
                                        mat<T>(dwa), mat<T>(dwb)));
}

}  // namespace emshap::ops
