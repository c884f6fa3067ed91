#include "emshap/models/predictor.h"

#include <cmath>

#include <fmt/format.h>

#include "emshap/core/error.h"

namespace emshap {

Predictor::~Predictor() = default;

void Predictor::predict_groups(Context& ctx, ConstTensorView raw, std::int64_t, ConstTensorView,
                               TensorView y) const {
  predict(ctx, raw, y);
}

std::unique_ptr<Predictor> Predictor::on_device(Device) const {
  return nullptr;
}

CallablePredictor::CallablePredictor(std::int64_t inputs, Function function, Calls calls)
    : inputs_(inputs), function_(std::move(function)), calls_(calls) {
  if (inputs < 1)
    throw ConfigError(fmt::format("the predictor takes {} columns, expected at least 1", inputs));
  if (!function_) throw ConfigError("the predictor got no function, expected one");
}

void CallablePredictor::predict(Context&, ConstTensorView raw, TensorView y) const {
  if (raw.cols() != inputs_)
    throw ShapeError(fmt::format("the predictor got rows of {} columns, expected {}", raw.cols(), inputs_));
  if (y.rows() != raw.rows())
    throw ShapeError(fmt::format("the predictor got room for {} results, expected {} for as many rows",
                                 y.rows(), raw.rows()));
  if (raw.rows() == 0) return;
  if (calls_ == Calls::concurrent) {
    function_(raw, y);
  } else {
    const std::scoped_lock lock(mutex_);
    function_(raw, y);
  }
  for (std::int64_t r = 0; r < y.rows(); ++r) {
    const float value = y.ptr<float>()[r * y.row_stride()];
    if (!std::isfinite(value))
      throw NumericalError(
          fmt::format("the predictor gave {} for row {} of a batch, expected a finite number", value, r));
  }
}

}  // namespace emshap
