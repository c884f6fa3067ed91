#pragma once
// Tables and small helpers for the tests of normal scores and feature spaces.
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "data_support.h"
#include "emshap/core/random.h"
#include "emshap/data/feature_space.h"

namespace emshap::test {

inline constexpr double absent = std::numeric_limits<double>::quiet_NaN();

using NamedColumn = std::pair<std::string, std::vector<double>>;

/// A table of features; NaN is a missing cell.
inline Table table_of(const std::vector<NamedColumn>& columns) {
  std::vector<ColumnSpec> schema;
  for (const auto& column : columns) schema.push_back({column.first, ColumnType::f32, ColumnRole::feature});
  Table table(schema);
  for (std::size_t c = 0; c < columns.size(); ++c)
    for (const double v : columns[c].second) {
      if (std::isnan(v)) {
        table.columns()[c].push_missing();
      } else {
        table.columns()[c].push_f32(static_cast<float>(v));
      }
    }
  table.provenance().source = "t.csv";
  return table;
}

/// `count` values of draw(generator), seeded.
template <class Draw>
std::vector<double> drawn(int count, std::uint64_t seed, const Draw& draw) {
  Generator random({seed, RandomPurpose::test});
  std::vector<double> values;
  for (int i = 0; i < count; ++i) values.push_back(draw(random));
  return values;
}
inline std::vector<double> normals(int count, std::uint64_t seed) {
  return drawn(count, seed, [](Generator& g) { return g.normal(); });
}
inline std::vector<double> exponentials(int count, std::uint64_t seed) {
  return drawn(count, seed, [](Generator& g) { return -std::log(g.uniform()); });
}

inline FeatureSpace fitted(const Table& table, FeatureTransform transform, FeatureSpaceOptions options = {}) {
  options.transform = transform;
  return FeatureSpace::fit(table, all_rows(table), {}, options);
}

/// All rows of a space's x, observed and code, in float64.
struct Converted {
  Tensor x, observed, code;
  double at(std::int64_t r, std::int64_t t) const { return x.ptr<double>()[r * x.cols() + t]; }
  double seen(std::int64_t r, std::int64_t t) const { return observed.ptr<double>()[r * x.cols() + t]; }
  int category(std::int64_t r, std::int64_t t) const { return code.ptr<std::int32_t>()[r * x.cols() + t]; }
};
inline Converted converted(const FeatureSpace& space, ConstTensorView raw, const RandomKey* key = nullptr,
                           const std::vector<std::int64_t>& rows = {}) {
  const Shape shape{raw.rows(), space.features()};
  Converted c{Tensor(shape, DType::f64), Tensor(shape, DType::f64), Tensor(shape, DType::i32)};
  if (key == nullptr) {
    space.to_model(raw, c.x, c.observed, c.code);
  } else {
    space.to_model_dequantised(raw, *key, rows, c.x, c.observed, c.code);
  }
  return c;
}

}  // namespace emshap::test
