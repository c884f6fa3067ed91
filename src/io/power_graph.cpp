#include "io/power_graph.h"

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/data/steps.h"
#include "emshap/io/attribution_onnx.h"
#include "emshap/io/power_onnx.h"

namespace emshap::io {
namespace {

void check_fit(const Preprocessor& preprocessor, const PowerPredictor& predictor) {
  if (preprocessor.features.outputs() != predictor.options().features)
    throw ConfigError(
        fmt::format("the feature pipeline gives {} columns, expected {} as the power predictor takes",
                    preprocessor.features.outputs(), predictor.options().features));
  for (std::size_t i = 0; i < preprocessor.target.size(); ++i)
    if (dynamic_cast<const StandardScaler*>(&preprocessor.target.step(i)) == nullptr)
      throw ConfigError(
          fmt::format("the target step '{}' of type {} has no inverse in ONNX, expected standard_scaler",
                      preprocessor.target.name(i), preprocessor.target.step(i).type()));
}

/// y * scale + mean for each step, last step first; float64.
GraphValue write_target_inverse(GraphWriter& graph, const Pipeline& target, GraphValue y) {
  for (std::size_t i = target.size(); i-- > 0;) {
    const auto& scaler = dynamic_cast<const StandardScaler&>(target.step(i));
    const GraphWriter::Scope scope(graph, target.name(i));
    const GraphValue scale = graph.constant("scale", {1}, scaler.scales());
    const GraphValue mean = graph.constant("mean", {1}, scaler.means());
    y = graph.op("Add", {graph.op("Mul", {y, scale}), mean});
  }
  return y;
}

}  // namespace

GraphValue write_power_predictor(GraphWriter& graph, const Preprocessor& preprocessor,
                                 const PowerPredictor& folded, const GraphValue& x) {
  check_fit(preprocessor, folded);
  GraphValue h = graph.cast(x, GraphType::f64);
  {
    const GraphWriter::Scope scope(graph, "features");
    h = preprocessor.features.to_onnx(graph, h);
  }
  h = folded.to_onnx(graph, graph.cast(h, GraphType::f32));
  if (preprocessor.target.size() > 0) {
    const GraphWriter::Scope scope(graph, "target");
    h = graph.cast(write_target_inverse(graph, preprocessor.target, graph.cast(h, GraphType::f64)),
                   GraphType::f32);
  }
  return h;
}

WriteModel write_power(const Preprocessor& preprocessor, const PowerPredictor& predictor) {
  return [&](GraphWriter& graph, const GraphValue& raw) {
    return write_power_predictor(graph, preprocessor, fold_batch_norm(predictor), raw);
  };
}

}  // namespace emshap::io
