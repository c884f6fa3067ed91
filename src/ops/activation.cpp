#include "emshap/ops/activation.h"

#include <array>
#include <string>
#include <utility>

#include "math/activation.h"
#include "ops/checks.h"
#include "ops/dispatch.h"

#define EMSHAP_BACKEND_HEADER "ops/activation_backend.h"
#include "ops/backends.h"

namespace emshap {
namespace {
constexpr std::array<std::pair<Activation, const char*>, 8> names{{{Activation::identity, "identity"},
                                                                   {Activation::relu, "relu"},
                                                                   {Activation::leaky_relu, "leaky_relu"},
                                                                   {Activation::gelu, "gelu"},
                                                                   {Activation::tanh, "tanh"},
                                                                   {Activation::sigmoid, "sigmoid"},
                                                                   {Activation::softplus, "softplus"},
                                                                   {Activation::silu, "silu"}}};
}

Activation parse_activation(const std::string& name) {
  std::string known;
  for (const auto& [value, text] : names) {
    if (name == text) return value;
    known += known.empty() ? text : std::string(", ") + text;
  }
  throw ConfigError(fmt::format("activation '{}' is not known, expected one of {}", name, known));
}

const char* to_string(Activation activation) {
  for (const auto& [value, text] : names)
    if (value == activation) return text;
  return "?";
}

bool derivative_from_output(Activation activation) {
  return math::from_output(activation);
}

namespace ops {

void activation_forward(Context& ctx, Activation activation, ConstTensorView x, TensorView y) {
  constexpr const char* op = "activation_forward";
  check::same_kind(op, ctx, {{"x", x}, {"y", y}});
  check::same_extent(op, {"y", y}, {"x", x});
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, x.dtype(), activation_forward<T>(ctx, activation, mat<T>(x), mat<T>(y)));
}

void activation_backward(Context& ctx, Activation activation, ConstTensorView x, ConstTensorView y,
                         ConstTensorView dy, TensorView dx) {
  constexpr const char* op = "activation_backward";
  check::same_kind(op, ctx, {{"dy", dy}, {"x", x}, {"y", y}, {"dx", dx}});
  check::same_extent(op, {"dx", dx}, {"dy", dy});
  if (x.data() != nullptr) check::same_extent(op, {"x", x}, {"dy", dy});
  if (y.data() != nullptr) check::same_extent(op, {"y", y}, {"dy", dy});
  const bool enough = x.data() != nullptr || (y.data() != nullptr && derivative_from_output(activation));
  if (!enough && dy.elements() > 0)
    throw ShapeError(fmt::format("{}: {} is missing, expected for {}", op,
                                 derivative_from_output(activation) ? "x or y" : "x", to_string(activation)));
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, dy.dtype(),
                  activation_backward<T>(ctx, activation, mat<T>(x), mat<T>(y), mat<T>(dy), mat<T>(dx)));
}

}  // namespace ops
}  // namespace emshap
