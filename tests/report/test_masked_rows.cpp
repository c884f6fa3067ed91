#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "emshap/core/error.h"
#include "emshap/report/masked_rows.h"

using namespace emshap;
using namespace emshap::report;

TEST_CASE("masks have uniform sizes over the values that are present") {
  constexpr std::int64_t rows = 3000, features = 4;
  Tensor observed({rows, features});
  for (std::int64_t i = 0; i < rows * features; ++i) observed.ptr<float>()[i] = 1;
  for (std::int64_t r = 0; r < rows; r += 2) observed.ptr<float>()[r * features + 1] = 0;  // missing
  for (std::int64_t t = 0; t < features; ++t) observed.ptr<float>()[t] = 0;                // nothing at all
  const MaskedRows pairs = uniform_masks(observed, 2, 7);
  CHECK(pairs.pairs() == 2 * (rows - 1));
  CHECK(pairs.row.front() == 1);
  std::map<std::int64_t, int> whole, partial;
  std::vector<int> known(features, 0);
  for (std::int64_t p = 0; p < pairs.pairs(); ++p) {
    std::int64_t size = 0;
    for (std::int64_t t = 0; t < features; ++t) {
      const bool in_s = pairs.mask.ptr<float>()[p * features + t] != 0;
      size += in_s ? 1 : 0;
      if (pairs.row[static_cast<std::size_t>(p)] % 2 == 1) known[static_cast<std::size_t>(t)] += in_s ? 1 : 0;
      if (pairs.row[static_cast<std::size_t>(p)] % 2 == 0 && t == 1) CHECK_FALSE(in_s);
    }
    ++(pairs.row[static_cast<std::size_t>(p)] % 2 == 1 ? whole : partial)[size];
  }
  REQUIRE(whole.size() == 4);
  for (const auto& [size, count] : whole) CHECK(std::abs(count - 750) < 110);  // 4 standard deviations
  REQUIRE(partial.size() == 3);
  for (const auto& [size, count] : partial) CHECK(std::abs(count - 1000) < 110);
  for (const int count : known) CHECK(std::abs(count - 1125) < 110);

  const MaskedRows more = uniform_masks(observed, 3, 7);
  for (std::int64_t r = 0; r < 20; ++r)  // mask j of a row does not depend on how many there are
    for (std::int64_t i = 0; i < 2 * features; ++i)
      CHECK(more.mask.ptr<float>()[r * 3 * features + i] == pairs.mask.ptr<float>()[r * 2 * features + i]);
}

TEST_CASE("no rows and no masks") {
  CHECK(uniform_masks(Tensor({0, 3}), 2, 1).pairs() == 0);
  const Tensor one = Tensor::from<float>({1, 1}, {1, 2});
  CHECK(uniform_masks(one, 0, 1).pairs() == 0);
  const MaskedRows pairs = uniform_masks(one, 5, 1);
  const MaskedRows two = pairs.select(std::vector<std::int64_t>{4, 1});
  CHECK(two.pairs() == 2);
  CHECK(two.mask.ptr<float>()[0] == pairs.mask.ptr<float>()[8]);
  CHECK(two.mask.ptr<float>()[3] == pairs.mask.ptr<float>()[3]);
}

TEST_CASE("a ratio and its standard error") {
  // Equal weights and no clusters: the standard error of a mean.
  const std::vector<double> y{1, 2, 4, 9}, n(4, 1);
  const Estimate mean = ratio_estimate(y, n, {});
  CHECK(mean.value == 4);
  CHECK(mean.standard_error == doctest::Approx(std::sqrt((9 + 4 + 0 + 25) / 3. / 4)));
  // Copies within a cluster tell nothing new.
  const std::vector<double> twice{1, 1, 2, 2, 4, 4, 9, 9}, ones(8, 1);
  const Estimate clustered = ratio_estimate(twice, ones, std::vector<std::int64_t>{5, 5, 1, 1, 2, 2, 3, 3});
  CHECK(clustered.value == 4);
  CHECK(clustered.standard_error == doctest::Approx(mean.standard_error));
  // Weights: e = y - value n.
  const Estimate ratio = ratio_estimate(std::vector<double>{2, 4}, std::vector<double>{1, 3}, {});
  CHECK(ratio.value == 1.5);
  CHECK(ratio.standard_error == doctest::Approx(std::sqrt(2 * (.25 + .25)) / 4));
  CHECK(std::isnan(ratio_estimate({}, {}, {}).value));
  const Estimate single = ratio_estimate(std::vector<double>{2}, std::vector<double>{4}, {});
  CHECK(single.value == .5);
  CHECK(std::isnan(single.standard_error));
  CHECK_THROWS_AS(ratio_estimate(y, ones, {}), ShapeError);
}

TEST_CASE("a summary merges as if all had been added to one") {
  Summary a, b, all, none;
  for (int i = 0; i < 40; ++i) {
    const double value = std::sin(i) * i;
    (i < 13 ? a : b).add(value);
    all.add(value);
  }
  a.merge(none);
  none.merge(a);
  none.merge(b);
  CHECK(none.count() == 40);
  CHECK(none.mean() == doctest::Approx(all.mean()));
  CHECK(none.sd() == doctest::Approx(all.sd()));
  CHECK(none.min() == all.min());
  CHECK(none.max() == all.max());
  CHECK(std::isnan(Summary().mean()));
}
