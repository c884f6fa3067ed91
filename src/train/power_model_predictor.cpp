#include "emshap/train/power_model_predictor.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "layers/scratch.h"

namespace emshap {

struct PowerModelPredictor::Impl {
  const PowerModel& model;
};

PowerModelPredictor::PowerModelPredictor(const PowerModel& model)
    : impl_(std::make_unique<Impl>(Impl{model})) {
  const Device device = model.network->store().device();
  if (device.kind != DeviceKind::cpu)
    throw DeviceError(
        fmt::format("the power model to be explained is on {}, expected cpu", to_string(device)));
}

PowerModelPredictor::~PowerModelPredictor() = default;

std::int64_t PowerModelPredictor::inputs() const {
  return impl_->model.scaler.features.inputs();
}

void PowerModelPredictor::predict(Context& ctx, ConstTensorView raw, TensorView y) const {
  const PowerModel& m = impl_->model;
  if (raw.cols() != inputs() || y.rows() != raw.rows() || y.cols() != 1)
    throw ShapeError(fmt::format("the power model got {} and {}, expected ({}, {}) and ({}, 1)",
                                 raw.shape().str(), y.shape().str(), raw.rows(), inputs(), raw.rows()));
  for (std::int64_t begin = 0; begin < raw.rows(); begin += tile_rows) {
    const std::int64_t n = std::min(tile_rows, raw.rows() - begin);
    const Workspace::Scope scope(ctx.workspace());
    const TensorView x = scratch(ctx, {n, m.scaler.features.outputs()}, DType::f32);
    const TensorView out = scratch(ctx, {n, 1}, DType::f32);
    m.scaler.features.transform(raw.rows(begin, n), x);
    m.network->infer(ctx, x, out);
    m.scaler.target.inverse(out, y.rows(begin, n));
  }
  for (std::int64_t r = 0; r < raw.rows(); ++r)
    if (!std::isfinite(y.ptr<float>()[r * y.row_stride()]))
      throw NumericalError(fmt::format("the power model's prediction for row {} of a call is not finite", r));
}

}  // namespace emshap
