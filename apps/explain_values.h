#pragma once
// The value functions of emshap_explain, and how a run compares several.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/app.h"
#include "emshap/explain/baseline_values.h"
#include "emshap/explain/comparison.h"
#include "emshap/explain/explainer.h"
#include "emshap/models/emshap_model.h"
#include "explain_models.h"
#include "explain_rows.h"

namespace emshap::app {

/// See the options of the same names.
struct ValueChoice {
  std::string method = "emshap", noise = "sobol";
  DrawnValueOptions drawn;
};

/// What lies on a GPU for the value function.
struct DeviceCopies {
  std::unique_ptr<EmshapModel> model;
  std::unique_ptr<Predictor> f;
  DeviceParts parts() const { return {model.get(), f.get()}; }
};

/// The models on the GPU that --device chose; none on the CPU, and with --device auto where the GPU has no
/// part in it; no predictor where it has no form for a GPU. Throws DeviceError where --device cuda asks for
/// what only the CPU does.
DeviceCopies copies_on_device(const std::string& method, const ExplainModels& models, Session& session);

/// A value function with what it refers to but the models.
class MethodValues {
 public:
  /// `models` must outlive it, and so must the copies `on_device`. `train`: the rows that baselines are
  /// fitted on.
  MethodValues(const std::string& method, const ExplainModels& models, ConstTensorView train,
               const DrawnValueOptions& options, ProgressSink& sink, const DeviceParts& on_device = {});
  const ValueFunction& values() const { return own_ ? *own_ : *baseline_.values; }
  /// The density of a Gaussian baseline, or the EmSHAP model's; null where there is none.
  const FeatureSpace* space() const { return space_; }
  const EmshapModel* density() const { return density_; }

 private:
  std::unique_ptr<ValueFunction> own_;
  FittedBaseline baseline_;
  const FeatureSpace* space_ = nullptr;
  const EmshapModel* density_ = nullptr;
};

struct ComparedValues {
  MethodComparison comparison;
  double variance = 0;  ///< of f over the rows
};

/// MSEv of several methods on at most `rows_limit` complete rows (a seeded choice) with the coalitions of the
/// explainer, whose own method comes first. `on_device` as in MethodValues.
ComparedValues compare_value_functions(const std::vector<std::string>& methods, const Explainer& own,
                                       const ValueChoice& choice, const ExplainModels& models,
                                       ConstTensorView train, const ExplainRows& data,
                                       std::int64_t rows_limit, const DeviceParts& on_device, TeamPool& pool,
                                       Session& session);

}  // namespace emshap::app
