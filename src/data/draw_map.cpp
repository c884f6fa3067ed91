#include "data/draw_map.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "data/feature_map.h"
#include "emshap/core/error.h"

namespace emshap {

DrawMap::DrawMap(const FeatureSpace& space) : space_(&space), input_(FeatureMap(space.pipeline()).kept()) {}

template <class T>
std::int64_t DrawMap::to_raw(std::int64_t t, const T* x, std::int64_t x_stride, std::int64_t n, float* raw,
                             std::int64_t raw_stride) const {
  const FeatureMap map(space_->pipeline());
  const auto f = static_cast<std::size_t>(t);
  const FeatureColumn& column = space_->columns()[f];
  const double margin = space_->options().range_margin * (column.high - column.low);
  std::int64_t clamped = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const double drawn = map.backward(f, static_cast<double>(x[i * x_stride]));
    if (std::isnan(drawn))
      throw NumericalError(fmt::format("feature '{}': the draw is not a number, expected one", column.name));
    double value = std::clamp(drawn, column.low - margin, column.high + margin);
    if (value != drawn) ++clamped;
    if (column.kind == FeatureKind::tied) value = column.values[nearest_tile(column, value)];
    if (column.kind == FeatureKind::categorical) value = column.values[nearest_value(column, value)];
    raw[i * raw_stride] = static_cast<float>(value);
  }
  return clamped;
}

template std::int64_t DrawMap::to_raw<float>(std::int64_t, const float*, std::int64_t, std::int64_t, float*,
                                             std::int64_t) const;
template std::int64_t DrawMap::to_raw<double>(std::int64_t, const double*, std::int64_t, std::int64_t, float*,
                                              std::int64_t) const;

}  // namespace emshap
