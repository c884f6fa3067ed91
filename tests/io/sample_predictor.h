#pragma once
// A power predictor that looks trained: columns on very different scales, one without variation, running
// statistics and gammas away from their initial values.
#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "emshap/core/random.h"
#include "emshap/data/steps.h"
#include "emshap/io/power_onnx.h"

namespace emshap::test {

struct SamplePredictor {
  Preprocessor preprocessor;
  PowerPredictor predictor;
  io::PowerOnnxInfo info;
  bool missing;  ///< rows() leaves out every 11th value, and the pipeline imputes

  /// The data have one column more than `options.features`, which never varies. With `bins` the pipeline ends
  /// with a piecewise-linear encoding, and the network takes what that gives.
  SamplePredictor(const PowerPredictorOptions& options, bool with_missing, std::int64_t bins = 0)
      : preprocessor(fitted(options.features + 1, with_missing, bins)),
        predictor(with_features(options, preprocessor.features.outputs())),
        missing(with_missing) {
    info.target = "power";
    info.target_unit = "W";
    info.feature_units.assign(static_cast<std::size_t>(columns()), "%");
    info.more["data_hash"] = "0123";
    disturb();
  }

  std::int64_t columns() const { return preprocessor.features.inputs(); }
  /// (count, columns) raw values; the first rows of a longer draw are those of a shorter one.
  Tensor rows(std::int64_t count) const { return draw(columns(), missing, count); }

 private:
  static PowerPredictorOptions with_features(PowerPredictorOptions options, std::int64_t features) {
    options.features = features;
    return options;
  }

  static Preprocessor fitted(std::int64_t columns, bool missing, std::int64_t bins) {
    Preprocessor preprocessor;
    std::vector<std::string> names;
    for (std::int64_t c = 0; c < columns; ++c) names.push_back(fmt::format("column {}", c));
    const Tensor train = draw(columns, missing, 500);
    const std::vector<double> values(train.ptr<float>(), train.ptr<float>() + train.elements());
    preprocessor.features.add("drop", std::make_unique<DropConstant>());
    if (missing) preprocessor.features.add("impute", std::make_unique<MeanImpute>());
    preprocessor.features.add("scale", std::make_unique<StandardScaler>());
    if (bins > 0) preprocessor.features.add("encode", std::make_unique<PiecewiseLinear>(bins));
    preprocessor.features.fit(names, [&](const auto& see) { see(values.data(), train.rows()); });

    preprocessor.target.add("scale", std::make_unique<StandardScaler>());
    const std::vector<double> target{80, 120, 250, 310, 95};
    preprocessor.target.fit({"power"}, [&](const auto& see) { see(target.data(), 5); });
    return preprocessor;
  }

  static Tensor draw(std::int64_t columns, bool missing, std::int64_t count) {
    Tensor x({count, columns});
    Generator random({11, RandomPurpose::test});
    for (std::int64_t i = 0; i < x.elements(); ++i) {
      const std::int64_t c = i % columns;
      const double scale = std::pow(10.0, static_cast<double>(c % 7) - 3);
      float value = static_cast<float>(scale * (random.normal() + static_cast<double>(c * c)));
      if (c == 3) value = 42;
      if (missing && c != 3 && i % 11 == 5) value = std::numeric_limits<float>::quiet_NaN();
      x.ptr<float>()[i] = value;
    }
    return x;
  }

  void disturb() {
    ParameterStore& store = predictor.store();
    Generator random({12, RandomPurpose::test});
    for (const ParameterStore::Entry& entry : store.parameters()) {
      std::vector<double> values = store.get(store.find(entry.name));
      if (entry.name.ends_with(".weight")) continue;
      for (double& v : values) v += .3 * random.normal();
      store.set(store.find(entry.name), values);
    }
    for (const ParameterStore::Entry& entry : store.buffers()) {
      std::vector<double> values = store.get(store.find_buffer(entry.name));
      for (double& v : values) v = entry.name.ends_with("_var") ? .1 + random.uniform() : random.normal();
      store.set(store.find_buffer(entry.name), values);
    }
  }
};

}  // namespace emshap::test
