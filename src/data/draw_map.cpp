#include "data/draw_map.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "data/feature_map.h"
#include "emshap/core/error.h"

namespace emshap {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float finite = std::numeric_limits<float>::max();

float first_float_from(double x) {
  const auto f = static_cast<float>(x);
  return static_cast<double>(f) >= x ? f : std::nextafter(f, infinity);
}
float first_float_after(double x) {
  const auto f = static_cast<float>(x);
  return static_cast<double>(f) > x ? f : std::nextafter(f, infinity);
}

/// Raw values up to this one go to value i of the column, those above to the next.
double boundary(const FeatureColumn& column, std::size_t i) {
  if (column.kind == FeatureKind::categorical) return .5 * (column.values[i] + column.values[i + 1]);
  const double right = column.right[i], left = column.left[i + 1];
  return right >= left ? right : .5 * (right + left);
}

}  // namespace

DrawMap::DrawMap(const FeatureSpace& space) : space_(&space), input_(FeatureMap(space.pipeline()).kept()) {
  const FeatureMap map(space.pipeline());
  for (std::size_t t = 0; t < input_.size(); ++t) {
    const FeatureColumn& column = space.columns()[t];
    const double margin = space.options().range_margin * (column.high - column.low);
    Pieces p = column.kind == FeatureKind::continuous ? lines(t) : grid(t);
    p.low = first_float_from(map.forward(t, column.low - margin));
    p.high = std::nextafter(first_float_after(map.forward(t, column.high + margin)), -infinity);
    pieces_.push_back(std::move(p));
  }
}

DrawMap::Pieces DrawMap::grid(std::size_t t) const {
  const FeatureMap map(space_->pipeline());
  const FeatureColumn& column = space_->columns()[t];
  Pieces p;
  for (std::size_t i = 0; i < column.values.size(); ++i) {
    if (i > 0) p.begin.push_back(first_float_after(map.forward(t, boundary(column, i - 1))));
    p.value.push_back(static_cast<float>(column.values[i]));
  }
  p.origin.assign(p.value.size(), 0);
  p.slope.assign(p.value.size(), 0);
  return p;
}

DrawMap::Pieces DrawMap::lines(std::size_t t) const {
  const Pipeline& pipeline = space_->pipeline();
  const FeatureMap map(pipeline);
  const FeatureColumn& column = space_->columns()[t];
  const double margin = space_->options().range_margin * (column.high - column.low);
  const double low = column.low - margin, high = column.high + margin;
  std::vector<double> knots = {map.forward(t, low)};
  const double end = map.forward(t, high);
  if (const auto* quantile = pipeline.find<QuantileNormal>())
    for (const double z : quantile->scores(t))
      if (z > knots.back() && z < end) knots.push_back(z);
  knots.push_back(end);
  Pieces p{{}, {0}, {static_cast<float>(low)}, {0}};
  for (std::size_t i = 0; i < knots.size(); ++i) {
    const bool last = i + 1 == knots.size();
    const float from = first_float_from(knots[i]);
    p.begin.push_back(from);
    p.origin.push_back(from);
    p.value.push_back(static_cast<float>(std::clamp(map.backward(t, static_cast<double>(from)), low, high)));
    // Of the line between this knot and the next.
    p.slope.push_back(
        last ? 0 : static_cast<float>(1 / map.slope(t, map.backward(t, .5 * (knots[i] + knots[i + 1])))));
  }
  return p;
}

void DrawMap::not_a_number(std::int64_t t) const {
  throw NumericalError(fmt::format("feature '{}': the draw is not a number, expected one",
                                   space_->columns()[static_cast<std::size_t>(t)].name));
}

std::int64_t DrawMap::to_raw(std::int64_t t, const float* x, std::int64_t x_stride, std::int64_t n,
                             float* raw, std::int64_t raw_stride) const {
  const Pieces& p = pieces_[static_cast<std::size_t>(t)];
  const float* const begin = p.begin.data();
  const auto pieces = static_cast<std::int32_t>(p.begin.size());
  std::int64_t clamped = 0;
  bool number = true;
  for (std::int64_t i = 0; i < n; ++i) {
    const float given = x[i * x_stride];
    const float z = std::clamp(given, -finite, finite);
    std::int32_t below = 0;  // pieces that begin at or before z; without branches, which draws mispredict
    for (std::int32_t left = pieces; left > 0;) {
      const std::int32_t half = (left + 1) / 2;
      below += z >= begin[below + half - 1] ? half : 0;
      left -= half;
    }
    const auto j = static_cast<std::size_t>(below);
    raw[i * raw_stride] = p.value[j] + p.slope[j] * (z - p.origin[j]);
    clamped += (z < p.low ? 1 : 0) + (z > p.high ? 1 : 0);
    number = number && given == given;
  }
  if (!number) not_a_number(t);
  return clamped;
}

std::int64_t DrawMap::to_raw(std::int64_t t, const double* x, std::int64_t x_stride, std::int64_t n,
                             float* raw, std::int64_t raw_stride) const {
  const FeatureMap map(space_->pipeline());
  const auto f = static_cast<std::size_t>(t);
  const FeatureColumn& column = space_->columns()[f];
  const double margin = space_->options().range_margin * (column.high - column.low);
  std::int64_t clamped = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const double drawn = map.backward(f, x[i * x_stride]);
    if (std::isnan(drawn)) not_a_number(t);
    double value = std::clamp(drawn, column.low - margin, column.high + margin);
    if (value != drawn) ++clamped;
    if (column.kind == FeatureKind::tied) value = column.values[nearest_tile(column, value)];
    if (column.kind == FeatureKind::categorical) value = column.values[nearest_value(column, value)];
    raw[i * raw_stride] = static_cast<float>(value);
  }
  return clamped;
}

}  // namespace emshap
