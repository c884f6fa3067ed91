// Raw values of draws from tables against the feature space's own way.
#include "data/draw_map.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "emshap/core/error.h"
#include "space_support.h"

using namespace emshap;
using namespace emshap::test;

namespace {

/// Continuous, heavy-tailed, far from 0, tied, categorical, constant.
Table columns() {
  std::vector<double> far, tied, few, same;
  const std::vector<double> z = normals(600, 3), e = exponentials(600, 4);
  for (const double v : normals(600, 5)) {
    far.push_back(1e6 + 30 * v);
    tied.push_back(std::round(20 * std::exp(v)) / 10);
    few.push_back(v < -.5 ? -7 : v < 1 ? 0 : v < 1.5 ? 2 : 2.5);
    same.push_back(4);
  }
  return table_of({{"z", z}, {"e", e}, {"same", same}, {"far", far}, {"tied", tied}, {"few", few}});
}

}  // namespace

TEST_SUITE("draw map") {
  TEST_CASE("float32 draws become the raw values of the feature space, in all parts of the range") {
    const Table table = columns();
    for (const FeatureTransform transform : {FeatureTransform::standardise, FeatureTransform::quantile}) {
      const FeatureSpace space = fitted(table, transform);
      const DrawMap map(space);
      const std::int64_t F = space.features(), n = 4001;
      REQUIRE(map.features() == F);
      Tensor x({n, F}, DType::f64), raw({n, space.inputs()}, DType::f64), fast({n, space.inputs()});
      std::vector<float> narrow(static_cast<std::size_t>(n * F));
      for (std::int64_t i = 0; i < n * F; ++i) {
        const double z = 12. * static_cast<double>(i / F) / (n - 1) - 6;
        narrow[static_cast<std::size_t>(i)] = static_cast<float>(z + .0001 * static_cast<double>(i % F));
        x.ptr<double>()[i] = static_cast<double>(narrow[static_cast<std::size_t>(i)]);
      }
      std::int64_t clamped = 0, off_grid = 0;
      const std::int64_t want = space.to_raw(x, raw);
      for (std::int64_t t = 0; t < F; ++t) {
        const FeatureColumn& column = space.columns()[static_cast<std::size_t>(t)];
        CAPTURE(column.name);
        const std::int64_t c = map.input(t);
        CHECK(space.input_names()[static_cast<std::size_t>(c)] == column.name);
        clamped += map.to_raw(t, narrow.data() + t, F, n, fast.ptr<float>() + c, space.inputs());
        for (std::int64_t i = 0; i < n; ++i) {
          const double got = static_cast<double>(fast.ptr<float>()[i * space.inputs() + c]);
          const double exact = raw.ptr<double>()[i * space.inputs() + c];
          if (column.kind == FeatureKind::continuous) {
            CHECK(std::abs(got - exact) <= 3e-7 * std::abs(exact) + 1e-6 * (column.high - column.low));
          } else {
            off_grid += got != static_cast<double>(static_cast<float>(exact)) ? 1 : 0;
            CHECK(std::any_of(column.values.begin(), column.values.end(),
                              [&](double v) { return static_cast<double>(static_cast<float>(v)) == got; }));
          }
        }
        // Where the table has a double in the middle of a rounding, neighbours may differ.
        CHECK(off_grid <= 1);
        Tensor again({n, 1});
        map.to_raw(t, x.ptr<double>() + t, F, n, again.ptr<float>(), 1);
        for (std::int64_t i = 0; i < n; ++i)
          CHECK(again.ptr<float>()[i] == static_cast<float>(raw.ptr<double>()[i * space.inputs() + c]));
      }
      CHECK(std::abs(clamped - want) <= 1);
      CHECK(clamped > 0);
    }
  }

  TEST_CASE("exact values come back, ends and what is beyond them stay within the widened range") {
    const Table table = columns();
    for (const FeatureTransform transform : {FeatureTransform::standardise, FeatureTransform::quantile}) {
      const FeatureSpace space = fitted(table, transform);
      const DrawMap map(space);
      for (std::int64_t t = 0; t < space.features(); ++t) {
        const FeatureColumn& column = space.columns()[static_cast<std::size_t>(t)];
        for (const double v : column.values) {
          const auto z = static_cast<float>(space.to_model(t, v));
          float raw = 0;
          CHECK(map.to_raw(t, &z, 1, 1, &raw, 1) == 0);
          CHECK(raw == static_cast<float>(v));
        }
        const bool grid = column.kind != FeatureKind::continuous;
        const double margin = grid ? 0 : .1 * (column.high - column.low);
        const float infinity = std::numeric_limits<float>::infinity();
        for (const float z : {-1e30f, -infinity, 1e30f, infinity}) {
          float raw = 0;
          CHECK(map.to_raw(t, &z, 1, 1, &raw, 1) == 1);
          CHECK(raw == static_cast<float>(z < 0 ? column.low - margin : column.high + margin));
        }
      }
      float raw = 0;
      const float bad = std::numeric_limits<float>::quiet_NaN();
      CHECK_THROWS_WITH_AS(map.to_raw(3, &bad, 1, 1, &raw, 1),
                           "feature 'tied': the draw is not a number, expected one", NumericalError);
      CHECK(map.to_raw(3, &bad, 1, 0, &raw, 1) == 0);
    }
  }
}
