#include "emshap/data/metrics.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "data/json_text.h"
#include "emshap/core/error.h"

namespace emshap {

void MetricsAccumulator::add(double prediction, double target) {
  const double error = prediction - target;
  ++rows_;
  squared_ += error * error;
  absolute_ += std::abs(error);
  if (target == 0) {
    ++zero_targets_;
  } else {
    relative_ += std::abs(error) / std::abs(target);
  }
  const double before = target - mean_;
  mean_ += before / static_cast<double>(rows_);
  m2_ += before * (target - mean_);
}

void MetricsAccumulator::add(std::span<const float> prediction, std::span<const float> target) {
  if (prediction.size() != target.size())
    throw ShapeError(fmt::format("metrics: there are {} predictions, expected {} as targets",
                                 prediction.size(), target.size()));
  for (std::size_t i = 0; i < target.size(); ++i)
    add(static_cast<double>(prediction[i]), static_cast<double>(target[i]));
}

void MetricsAccumulator::merge(const MetricsAccumulator& other) {
  if (other.rows_ == 0) return;
  const auto a = static_cast<double>(rows_), b = static_cast<double>(other.rows_);
  const double shift = other.mean_ - mean_;
  mean_ += shift * b / (a + b);
  m2_ += other.m2_ + shift * shift * a * b / (a + b);
  rows_ += other.rows_;
  zero_targets_ += other.zero_targets_;
  squared_ += other.squared_;
  absolute_ += other.absolute_;
  relative_ += other.relative_;
}

RegressionMetrics MetricsAccumulator::result() const {
  constexpr double none = std::numeric_limits<double>::quiet_NaN();
  RegressionMetrics m;
  m.rows = rows_;
  m.zero_targets = zero_targets_;
  const auto n = static_cast<double>(rows_);
  m.mse = rows_ > 0 ? squared_ / n : none;
  m.rmse = std::sqrt(m.mse);
  m.mae = rows_ > 0 ? absolute_ / n : none;
  m.r2 = m2_ > 0 ? 1 - squared_ / m2_ : none;
  m.mape = rows_ > zero_targets_ ? relative_ / static_cast<double>(rows_ - zero_targets_) : none;
  return m;
}

RegressionMetrics regression_metrics(std::span<const float> prediction, std::span<const float> target) {
  MetricsAccumulator sums;
  sums.add(prediction, target);
  return sums.result();
}

std::string RegressionMetrics::to_json() const {
  using json_text::number;
  return fmt::format(
      R"({{"rows": {}, "mse": {}, "rmse": {}, "mae": {}, "r2": {}, "mape": {}, "zero_targets": {}}})", rows,
      number(mse), number(rmse), number(mae), number(r2), number(mape), zero_targets);
}

}  // namespace emshap
