#include "data/draw_map.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "core/memory.h"
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

/// Pieces that a draw is compared with at once.
constexpr int at_once = 4;

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
    index(p);
    pieces_.push_back(std::move(p));
  }
}

// Rounding keeps order: of two numbers in different buckets the one in the earlier bucket is the smaller one.
std::int32_t DrawMap::Pieces::bucket(float z) const {
  const float at = (z - begin.front()) * per_width;
  const auto last = static_cast<float>(before.size() - 2);
  return at > 0 ? static_cast<std::int32_t>(std::min(at, last)) : 0;  // also for NaN
}

std::size_t DrawMap::Pieces::find(float z) const {
  const auto b = static_cast<std::size_t>(bucket(z));
  std::int32_t from = before[b], end = before[b + 1];
  while (end - from > at_once) {
    const std::int32_t middle = from + (end - from) / 2;
    (z >= begin[static_cast<std::size_t>(middle)] ? from : end) = middle;
  }
  // Without branches, which draws would mispredict; what begins in later buckets lies above.
  const float* next = begin.data() + from;
  std::size_t further = 0;
  for (int i = 0; i < at_once; ++i) further += z >= next[i] ? 1u : 0u;
  return static_cast<std::size_t>(from) + further;
}

void DrawMap::index(Pieces& p) {
  if (p.begin.empty()) p.begin.push_back(infinity);
  const std::size_t buckets = std::min<std::size_t>(4096, 4 * std::bit_ceil(p.begin.size()));
  const float range = p.begin.back() - p.begin.front();
  p.per_width = range > 0 && std::isfinite(static_cast<float>(buckets) / range)
                    ? static_cast<float>(buckets) / range
                    : 0;
  p.before.assign(buckets + 1, 0);
  for (const float z : p.begin) ++p.before[static_cast<std::size_t>(p.bucket(z)) + 1];
  p.begin.resize(p.begin.size() + at_once, infinity);
  for (std::size_t b = 0; b < buckets; ++b) p.before[b + 1] += p.before[b];
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
  Pieces p;
  p.origin = {0};
  p.value = {static_cast<float>(low)};
  p.slope = {0};
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
  std::int64_t clamped = 0;
  bool number = true;
  for (std::int64_t i = 0; i < n; ++i) {
    const float given = x[i * x_stride];
    const float z = std::clamp(given, -finite, finite);
    const std::size_t j = p.find(z);
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

DeviceDrawMap DrawMap::on_device(Device device) const {
  std::vector<std::int32_t> first = {0}, feature(static_cast<std::size_t>(space_->inputs()), -1);
  std::vector<float> begin, origin, value, slope, least, greatest;
  for (std::size_t t = 0; t < pieces_.size(); ++t) {
    const Pieces& p = pieces_[t];
    begin.push_back(-infinity);
    begin.insert(begin.end(), p.begin.begin(),
                 p.begin.begin() + static_cast<std::ptrdiff_t>(p.value.size()) - 1);
    origin.insert(origin.end(), p.origin.begin(), p.origin.end());
    value.insert(value.end(), p.value.begin(), p.value.end());
    slope.insert(slope.end(), p.slope.begin(), p.slope.end());
    least.push_back(p.low);
    greatest.push_back(p.high);
    first.push_back(static_cast<std::int32_t>(begin.size()));
    feature[static_cast<std::size_t>(input_[t])] = static_cast<std::int32_t>(t);
  }
  const auto sent = [&](const auto& values) {
    return to_device(Tensor::from(values, {static_cast<std::int64_t>(values.size())}), device);
  };
  DeviceDrawMap out;
  out.first = sent(first);
  out.begin = sent(begin);
  out.origin = sent(origin);
  out.low = sent(std::vector<float>(pieces_.size(), -finite));
  out.high = sent(std::vector<float>(pieces_.size(), finite));
  out.value = sent(value);
  out.slope = sent(slope);
  out.least = sent(least);
  out.greatest = sent(greatest);
  out.feature_of = sent(feature);
  return out;
}

}  // namespace emshap
