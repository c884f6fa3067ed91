#include "emshap/ops/optimizer.h"

#include <cmath>

#include "math/adam.h"
#include "ops/checks.h"
#include "ops/dispatch.h"

#define EMSHAP_BACKEND_HEADER "ops/optimizer_backend.h"
#include "ops/backends.h"

namespace emshap::ops {
namespace {

void check_range(const char* name, double value, bool ok, const char* expected) {
  if (!ok) throw ConfigError(fmt::format("adam_step: {} is {}, expected {}", name, value, expected));
}

void check_options(const AdamOptions& o, std::int64_t step) {
  check_range("learning_rate", o.learning_rate, std::isfinite(o.learning_rate) && o.learning_rate >= 0,
              "0 or more");
  check_range("beta1", o.beta1, o.beta1 >= 0 && o.beta1 < 1, "0 <= beta1 < 1");
  check_range("beta2", o.beta2, o.beta2 >= 0 && o.beta2 < 1, "0 <= beta2 < 1");
  check_range("eps", o.eps, std::isfinite(o.eps) && o.eps > 0, "more than 0");
  check_range("weight_decay", o.weight_decay, std::isfinite(o.weight_decay) && o.weight_decay >= 0,
              "0 or more");
  check_range("step", static_cast<double>(step), step >= 1, "1 or more");
}

math::AdamFactors<double> factors_of(const AdamOptions& o, std::int64_t step) {
  const auto t = static_cast<double>(step);
  return {.beta1 = o.beta1,
          .one_minus_beta1 = 1 - o.beta1,
          .beta2 = o.beta2,
          .one_minus_beta2 = 1 - o.beta2,
          .rate = o.learning_rate / (1 - std::pow(o.beta1, t)),
          .root_scale = 1 / std::sqrt(1 - std::pow(o.beta2, t)),
          .eps = o.eps,
          .shrink = o.decoupled ? o.learning_rate * o.weight_decay : 0,
          .l2 = o.decoupled ? 0 : o.weight_decay};
}

constexpr const char* as_many = "gradient has as many elements";

}  // namespace

void adam_step(Context& ctx, const AdamOptions& options, std::int64_t step, ConstTensorView gradient,
               ConstTensorView gradient_scale, ConstTensorView decay_mask, TensorView w, TensorView m,
               TensorView v) {
  constexpr const char* op = "adam_step";
  check::same_kind(op, ctx,
                   {{"gradient", gradient},
                    {"gradient_scale", gradient_scale},
                    {"decay_mask", decay_mask},
                    {"w", w},
                    {"m", m},
                    {"v", v}});
  const std::int64_t n = gradient.elements();
  check::vector(op, {"gradient", gradient}, n, "it is a flat buffer");
  if (gradient_scale.data() != nullptr)
    check::vector(op, {"gradient_scale", gradient_scale}, 1, "it holds one factor");
  if (decay_mask.data() != nullptr) check::vector(op, {"decay_mask", decay_mask}, n, as_many);
  check::vector(op, {"w", w}, n, as_many);
  check::vector(op, {"m", m}, n, as_many);
  check::vector(op, {"v", v}, n, as_many);
  check_options(options, step);
  EMSHAP_TRACE(ctx, op);
  const math::AdamFactors<double> factors = factors_of(options, step);
  EMSHAP_DISPATCH(ctx, gradient.dtype(),
                  adam_step<T>(ctx, factors, mat<T>(gradient), mat<T>(gradient_scale), mat<T>(decay_mask),
                               mat<T>(w), mat<T>(m), mat<T>(v)));
}

void clip_scale(Context& ctx, ConstTensorView gradient, double max_norm, TensorView norm, TensorView scale) {
  constexpr const char* op = "clip_scale";
  check::same_kind(op, ctx, {{"gradient", gradient}, {"norm", norm}, {"scale", scale}});
  check::vector(op, {"gradient", gradient}, gradient.elements(), "it is a flat buffer");
  check::vector(op, {"norm", norm}, 1, "it gets one norm");
  check::vector(op, {"scale", scale}, 1, "it gets one factor");
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, gradient.dtype(),
                  clip_scale<T>(ctx, mat<T>(gradient), max_norm, mat<T>(norm), mat<T>(scale)));
}

void ema_update(Context& ctx, double decay, ConstTensorView w, TensorView average) {
  constexpr const char* op = "ema_update";
  check::same_kind(op, ctx, {{"w", w}, {"average", average}});
  check::vector(op, {"w", w}, w.elements(), "it is a flat buffer");
  check::vector(op, {"average", average}, w.elements(), "w has as many elements");
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, w.dtype(), ema_update<T>(ctx, decay, mat<T>(w), mat<T>(average)));
}

}  // namespace emshap::ops
