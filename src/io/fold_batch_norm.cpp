#include <fmt/format.h>

#include <cmath>
#include <set>

#include "emshap/core/error.h"
#include "emshap/io/power_onnx.h"

namespace emshap::io {
namespace {

/// Weights (K, N) and bias (N) of norm(x w): w'_kn = w_kn g_n, b'_n = beta_n - mean_n g_n, g = gamma /
/// sqrt(var + eps).
struct Folded {
  std::vector<double> weight, bias;
};

Folded fold(const ParameterStore& store, const std::string& block) {
  const std::vector<double> gamma = store.get(store.find(block + ".norm.gamma"));
  const std::vector<double> mean = store.get(store.find_buffer(block + ".norm.running_mean"));
  const std::vector<double> variance = store.get(store.find_buffer(block + ".norm.running_var"));
  Folded folded{store.get(store.find(block + ".linear.weight")), store.get(store.find(block + ".norm.beta"))};
  const double eps = BatchNormOptions{}.eps;  // that of every MlpBlock
  const std::size_t outputs = gamma.size();
  for (std::size_t n = 0; n < outputs; ++n) {
    const double g = gamma[n] / std::sqrt(variance[n] + eps);
    if (!std::isfinite(g) || !std::isfinite(mean[n]))
      throw NumericalError(fmt::format("'{}.norm' has gamma {}, running mean {} and variance {} in column {}",
                                       block, gamma[n], mean[n], variance[n], n));
    for (std::size_t i = n; i < folded.weight.size(); i += outputs) folded.weight[i] *= g;
    folded.bias[n] -= mean[n] * g;
  }
  return folded;
}

void set_finite(ParameterStore& store, const std::string& name, const std::vector<double>& values) {
  for (const double value : values)
    if (!std::isfinite(static_cast<float>(value)))
      throw NumericalError(fmt::format("parameter '{}' holds {}, expected finite numbers", name, value));
  store.set(store.find(name), values);
}

}  // namespace

PowerPredictor fold_batch_norm(const PowerPredictor& predictor) {
  PowerPredictorOptions options = predictor.options();
  options.batch_norm = false;
  PowerPredictor result(options, DType::f32);
  const ParameterStore& from = predictor.store();
  ParameterStore& to = result.store();
  std::set<std::string> names;
  for (const ParameterStore::Entry& entry : from.parameters()) names.insert(entry.name);

  for (const ParameterStore::Entry& entry : to.parameters()) {
    const std::size_t layer = entry.name.rfind(".linear.");
    const std::string block = layer == std::string::npos ? "" : entry.name.substr(0, layer);
    if (names.contains(block + ".norm.gamma")) {
      const Folded folded = fold(from, block);
      set_finite(to, entry.name, entry.name.ends_with(".weight") ? folded.weight : folded.bias);
    } else if (names.contains(entry.name)) {
      set_finite(to, entry.name, from.get(from.find(entry.name)));
    } else {  // a bias that batch normalisation made unnecessary
      set_finite(to, entry.name, std::vector<double>(static_cast<std::size_t>(entry.shape.elements())));
    }
  }
  return result;
}

}  // namespace emshap::io
