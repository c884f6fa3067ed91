#include <doctest/doctest.h>

#include "emshap/core/error.h"
#include "emshap/models/feature_layout.h"

using namespace emshap;

namespace {
FeatureLayout example() {
  return {{0, 2, 0, 3}, {-1, 1, -.5, 0, 2}, {.25, .75, .5, .25, .25}};
}
}  // namespace

TEST_CASE("Lists of categories stand one after another") {
  CHECK(example().offsets() == std::vector<std::int64_t>{0, 0, 2, 2, 5});
  CHECK(example().categorical(1));
  CHECK_FALSE(example().categorical(2));
  CHECK_NOTHROW(example().check());
  CHECK(FeatureLayout::numeric(3).offsets() == std::vector<std::int64_t>{0, 0, 0, 0});
  CHECK_NOTHROW(FeatureLayout::numeric(1).check());
}

TEST_CASE("Lists that do not fit together are refused") {
  CHECK_THROWS_AS(FeatureLayout::numeric(0).check(), ConfigError);
  FeatureLayout layout = example();
  layout.values.pop_back();
  CHECK_THROWS_AS(layout.check(), ConfigError);
  layout = example();
  layout.categories[1] = 1;
  CHECK_THROWS_AS(layout.check(), ConfigError);
  layout = example();
  layout.values[1] = -2;
  CHECK_THROWS_AS(layout.check(), ConfigError);
  layout = example();
  layout.frequencies[0] = .5;
  CHECK_THROWS_AS(layout.check(), ConfigError);
}
