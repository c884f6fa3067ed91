#pragma once
// A density model and a predictor on the same columns that look trained, to be explained.
#include <utility>

#include "emshap/data/steps.h"
#include "emshap/io/attribution_onnx.h"
#include "emshap/io/power_onnx.h"
#include "io/sample_emshap.h"

namespace emshap::test {

struct SampleAttributionOptions {
  SampleOptions emshap;
  bool energy = true;
  CoalitionStrategy strategy = CoalitionStrategy::exact;
  std::int64_t budget = 0;  ///< 0: all
  std::int64_t draws = 16, replicates = 4, orders = 0;
  std::vector<std::int64_t> hidden{24, 12};
};

class SampleAttribution {
 public:
  explicit SampleAttribution(const SampleAttributionOptions& options)
      : emshap(options.emshap),
        background(emshap.rows(40)),
        preprocessor(fitted(emshap.rows(300), emshap.fitted.space.input_names())),
        predictor(
            {.features = preprocessor.features.outputs(), .hidden = options.hidden, .batch_norm = false}),
        f(
            emshap.columns(),
            [this](ConstTensorView raw, TensorView y) {
              Context ctx;
              io::predict_power(ctx, preprocessor, predictor, raw, y);
            },
            CallablePredictor::Calls::concurrent) {
    Generator random({31, RandomPurpose::test});
    for (const ParameterStore::Entry& entry : predictor.store().parameters()) {
      std::vector<double> values = predictor.store().get(predictor.store().find(entry.name));
      for (double& v : values) v *= 1 + random.uniform();
      predictor.store().set(predictor.store().find(entry.name), values);
    }
    emshap.fitted.energy_used = options.energy;
    emshap.fitted.model->use_energy(options.energy);
    std::vector<bool> modelled(static_cast<std::size_t>(emshap.columns()), false);
    for (const std::int64_t c : emshap.fitted.space.pipeline().find<DropConstant>()->kept())
      modelled[static_cast<std::size_t>(c)] = true;
    players = Players::single(emshap.fitted.space.input_names(), modelled);
    draws = {.draws = options.draws, .replicates = options.replicates, .orders = options.orders, .seed = 7};
    coalitions = Coalitions::make(players.size(), options.strategy,
                                  options.budget > 0 ? options.budget : std::int64_t{1} << players.size(), 5);
  }
  SampleAttribution(const SampleAttribution&) = delete;
  SampleAttribution& operator=(const SampleAttribution&) = delete;

  io::AttributionSettings settings() const {
    return {.emshap = emshap.fitted,
            .f = f,
            .write_f = io::write_power(preprocessor, predictor),
            .background = background,
            .players = players,
            .coalitions = coalitions,
            .draws = draws};
  }
  /// The first of these have all values.
  Tensor rows(std::int64_t count) const { return emshap.rows(count); }

  SampleEmshap emshap;
  Tensor background;
  Preprocessor preprocessor;
  PowerPredictor predictor;
  CallablePredictor f;
  Players players;
  Coalitions coalitions;
  DrawnValueOptions draws;

 private:
  static Preprocessor fitted(const Tensor& rows, const std::vector<std::string>& names) {
    Preprocessor out;
    const std::vector<double> values(rows.ptr<float>(), rows.ptr<float>() + rows.elements());
    out.features.add("drop", std::make_unique<DropConstant>());
    out.features.add("scale", std::make_unique<StandardScaler>());
    out.features.fit(names, [&](const auto& see) { see(values.data(), rows.rows()); });
    out.target.add("scale", std::make_unique<StandardScaler>());
    const std::vector<double> target{80, 120, 250, 310, 95};
    out.target.fit({"power"}, [&](const auto& see) { see(target.data(), 5); });
    return out;
  }
};

}  // namespace emshap::test
