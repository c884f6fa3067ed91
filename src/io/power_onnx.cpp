#include "emshap/io/power_onnx.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "emshap/core/error.h"
#include "emshap/data/steps.h"
#include "emshap/io/onnx_run.h"

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

namespace {

/// Standard deviation over the rows; of the target over the training rows if that is larger: a row or two
/// have no spread to speak of.
double spread(const float* b, std::int64_t rows, const Preprocessor& preprocessor) {
  double mean = 0, m2 = 0;  // Welford 1962
  for (std::int64_t r = 0; r < rows; ++r) {
    const double delta = b[r] - mean;
    mean += delta / static_cast<double>(r + 1);
    m2 += delta * (b[r] - mean);
  }
  const double sd = rows > 0 ? std::sqrt(m2 / static_cast<double>(rows)) : 0;
  const auto* scaler = preprocessor.target.find<StandardScaler>();
  return scaler != nullptr ? std::max(sd, scaler->scales().at(0)) : sd;
}

}  // namespace

double verify_power_predictor(const OnnxModel& file, const Preprocessor& preprocessor,
                              const PowerPredictor& predictor, ConstTensorView x, double limit) {
  const std::int64_t rows = x.rows(), some = std::min<std::int64_t>(rows, 256);
  Context ctx;
  Tensor expected({rows, 1}), found({rows, 1});
  predict_power(ctx, preprocessor, predictor, x, expected);
  load_power_predictor(file).predict(ctx, x, found);
  const std::map<std::string, Tensor> ran = run_onnx(file, {{"x", x.rows(0, some)}});
  const float* b = expected.ptr<float>();

  const double sd = spread(b, rows, preprocessor);
  double worst = 0;
  const auto compare = [&](const char* what, const float* a, std::int64_t count) {
    for (std::int64_t r = 0; r < count; ++r) {
      const double difference = std::abs(static_cast<double>(a[r]) - b[r]);
      const double scale = std::abs(static_cast<double>(b[r])) + sd;
      if (!(difference <= limit * scale))
        throw QualityError(
            fmt::format("{}: row {} gives {} {}, expected {} as the trained predictor, within {} of {}",
                        file.file(), r, a[r], what, b[r], limit, scale));
      if (scale > 0) worst = std::max(worst, difference / scale);
    }
  };
  compare("when read back", found.ptr<float>(), rows);
  compare("when its graph runs", ran.at("power").ptr<float>(), some);
  return worst;
}

}  // namespace emshap::io
