#include "emshap/io/power_onnx.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "emshap/core/error.h"
#include "emshap/data/steps.h"

namespace emshap::io {

void predict_power(Context& ctx, const Preprocessor& preprocessor, const PowerPredictor& predictor,
                   ConstTensorView x, TensorView y) {
  Tensor features({x.rows(), preprocessor.features.outputs()}, DType::f32);
  preprocessor.features.transform(x, features);
  Tensor scaled({x.rows(), 1}, DType::f32);
  predictor.infer(ctx, features, scaled);
  preprocessor.target.inverse(scaled, y);
}

void OnnxPowerPredictor::predict(Context& ctx, ConstTensorView x, TensorView y) const {
  predict_power(ctx, preprocessor, predictor, x, y);
}

double verify_power_predictor(const std::filesystem::path& path, const Preprocessor& preprocessor,
                              const PowerPredictor& predictor, ConstTensorView x, double limit) {
  const std::int64_t rows = x.rows();
  Context ctx;
  Tensor expected({rows, 1}), found({rows, 1});
  predict_power(ctx, preprocessor, predictor, x, expected);
  load_power_predictor(path).predict(ctx, x, found);
  const float* b = expected.ptr<float>();
  const float* a = found.ptr<float>();

  double mean = 0, m2 = 0;  // Welford 1962
  for (std::int64_t r = 0; r < rows; ++r) {
    const double delta = b[r] - mean;
    mean += delta / static_cast<double>(r + 1);
    m2 += delta * (b[r] - mean);
  }
  double sd = rows > 0 ? std::sqrt(m2 / static_cast<double>(rows)) : 0;
  // A row or two have no spread to speak of; the target has, over the training rows.
  if (const auto* scaler = preprocessor.target.find<StandardScaler>())
    sd = std::max(sd, scaler->scales().at(0));
  double worst = 0;
  for (std::int64_t r = 0; r < rows; ++r) {
    const double difference = std::abs(static_cast<double>(a[r]) - b[r]);
    const double scale = std::abs(static_cast<double>(b[r])) + sd;
    if (!(difference <= limit * scale))
      throw QualityError(
          fmt::format("{}: row {} gives {}, expected {} as the trained predictor, within {} of {}",
                      path.string(), r, a[r], b[r], limit, scale));
    if (scale > 0) worst = std::max(worst, difference / scale);
  }
  return worst;
}

}  // namespace emshap::io
