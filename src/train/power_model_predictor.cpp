#include "emshap/train/power_model_predictor.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "layers/scratch.h"
#include "train/power_tables.h"

namespace emshap {

struct PowerModelPredictor::Impl {
  const PowerModel& model;
  std::optional<PowerTables> tables;

  /// The model's own way, for what the tables do not cover.
  void slowly(Context& ctx, ConstTensorView raw, TensorView y) const {
    for_row_tiles(raw.rows(), [&](std::int64_t begin, std::int64_t n) {
      const Workspace::Scope scope(ctx.workspace());
      const TensorView x = scratch(ctx, {n, model.scaler.features.outputs()}, DType::f32);
      const TensorView out = scratch(ctx, {n, 1}, DType::f32);
      model.scaler.features.transform(raw.rows(begin, n), x);
      model.network->infer(ctx, x, out);
      model.scaler.target.inverse(out, y.rows(begin, n));
    });
  }

  void run(Context& ctx, ConstTensorView raw, std::int64_t group, ConstTensorView same, TensorView y) const {
    if (raw.cols() != model.scaler.features.inputs() || y.rows() != raw.rows() || y.cols() != 1)
      throw ShapeError(fmt::format("the power model got {} and {}, expected ({}, {}) and ({}, 1)",
                                   raw.shape().str(), y.shape().str(), raw.rows(),
                                   model.scaler.features.inputs(), raw.rows()));
    if (tables)
      tables->predict(ctx, raw, group, same, y);
    else
      slowly(ctx, raw, y);
    for (std::int64_t r = 0; r < raw.rows(); ++r) {
      if (std::isfinite(y.ptr<float>()[r * y.row_stride()])) continue;
      if (tables) slowly(ctx, raw.rows(r, 1), y.rows(r, 1));  // fills missing values, or names the column
      if (!std::isfinite(y.ptr<float>()[r * y.row_stride()]))
        throw NumericalError(
            fmt::format("the power model's prediction for row {} of a call is not finite", r));
    }
  }
};

PowerModelPredictor::PowerModelPredictor(const PowerModel& model)
    : impl_(std::make_unique<Impl>(Impl{model, std::nullopt})) {
  const Device device = model.network->store().device();
  if (device.kind != DeviceKind::cpu)
    throw DeviceError(
        fmt::format("the power model to be explained is on {}, expected cpu", to_string(device)));
  impl_->tables = PowerTables::make(model);
}

PowerModelPredictor::~PowerModelPredictor() = default;

std::int64_t PowerModelPredictor::inputs() const {
  return impl_->model.scaler.features.inputs();
}

void PowerModelPredictor::predict(Context& ctx, ConstTensorView raw, TensorView y) const {
  impl_->run(ctx, raw, 1, {}, y);
}

void PowerModelPredictor::predict_groups(Context& ctx, ConstTensorView raw, std::int64_t group,
                                         ConstTensorView same, TensorView y) const {
  if (group < 1 || raw.rows() % group != 0 || same.rows() != raw.rows() / group || same.cols() != raw.cols())
    throw ShapeError(fmt::format("the power model got {} rows in groups of {} and columns in common {}",
                                 raw.rows(), group, same.shape().str()));
  impl_->run(ctx, raw, group, same, y);
}

std::unique_ptr<Predictor> PowerModelPredictor::on_device(Device device) const {
  std::vector<std::int64_t> same(static_cast<std::size_t>(inputs()));
  std::iota(same.begin(), same.end(), std::int64_t{0});
  return on_device(device, same, inputs());
}

std::unique_ptr<Predictor> PowerModelPredictor::on_device(Device device, std::span<const std::int64_t> from,
                                                          std::int64_t inputs) const {
  return impl_->tables ? impl_->tables->on_device(device, from, inputs) : nullptr;
}

}  // namespace emshap
