#include "emshap/layers/initialisation.h"

#include <array>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "layers/orthogonal.h"

namespace emshap {
namespace {
constexpr std::array<std::pair<Init, const char*>, 6> names{{{Init::zeros, "zeros"},
                                                             {Init::xavier_uniform, "xavier_uniform"},
                                                             {Init::xavier_normal, "xavier_normal"},
                                                             {Init::kaiming_uniform, "kaiming_uniform"},
                                                             {Init::kaiming_normal, "kaiming_normal"},
                                                             {Init::orthogonal, "orthogonal"}}};
}

Init parse_init(const std::string& name) {
  std::string known;
  for (const auto& [value, text] : names) {
    if (name == text) return value;
    known += known.empty() ? text : std::string(", ") + text;
  }
  throw ConfigError(fmt::format("initialisation '{}' is not known, expected one of {}", name, known));
}

const char* to_string(Init init) {
  for (const auto& [value, text] : names)
    if (value == init) return text;
  return "?";
}

double init_gain(Activation activation) {
  switch (activation) {
    case Activation::identity:
    case Activation::sigmoid:
      return 1;
    case Activation::tanh:
      return 5.0 / 3;
    case Activation::leaky_relu:
      return std::sqrt(2 / (1 + .01 * .01));
    case Activation::relu:
    case Activation::gelu:
    case Activation::softplus:
    case Activation::silu:
      return std::sqrt(2.0);
  }
  return 1;
}

std::vector<double> initial_weights(Init init, Activation activation, const RandomKey& key, std::int64_t K,
                                    std::int64_t N) {
  if (K < 0 || N < 0) throw ConfigError(fmt::format("initial_weights got {} inputs and {} outputs", K, N));
  std::vector<double> w(static_cast<std::size_t>(K * N), 0.0);
  Generator random(key);
  const auto uniform = [&](double bound) {
    for (double& v : w) v = bound * (2 * random.uniform() - 1);
  };
  const auto normal = [&](double sd) {
    for (double& v : w) v = sd * random.normal();
  };
  const double gain = init_gain(activation), inputs = static_cast<double>(K),
               both = static_cast<double>(K + N);
  switch (init) {
    case Init::zeros:
      break;
    case Init::xavier_uniform:
      uniform(std::sqrt(6 / both));
      break;
    case Init::xavier_normal:
      normal(std::sqrt(2 / both));
      break;
    case Init::kaiming_uniform:
      uniform(gain * std::sqrt(3 / inputs));
      break;
    case Init::kaiming_normal:
      normal(gain / std::sqrt(inputs));
      break;
    case Init::orthogonal:
      normal(1);
      orthogonalise(w, K, N);
      for (double& v : w) v *= gain;
      break;
  }
  return w;
}

void initialise(ParameterStore& store, ParameterId weight, Init init, Activation activation,
                std::uint64_t seed) {
  const Shape& shape = store.parameters().at(static_cast<std::size_t>(weight.index)).shape;
  const RandomKey key{.seed = seed,
                      .purpose = RandomPurpose::initialisation,
                      .layer = static_cast<std::uint32_t>(weight.index)};
  store.set(weight, initial_weights(init, activation, key, shape.rows(), shape.cols()));
}

}  // namespace emshap
