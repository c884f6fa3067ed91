// Shares of coalition sizes and random masks.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "emshap/core/error.h"
#include "emshap/core/tensor.h"
#include "emshap/train/masking.h"

using namespace emshap;

namespace {

std::vector<double> weights(Masking kind, std::int64_t step, std::int64_t steps, std::int64_t features) {
  return size_weights({.kind = kind}, step, steps, features);
}

double binomial(int n, int k) {
  double value = 1;
  for (int i = 1; i <= k; ++i) value = value * (n - k + i) / i;
  return value;
}

/// The sizes of positive weight.
std::vector<std::size_t> support(const std::vector<double>& w) {
  std::vector<std::size_t> sizes;
  for (std::size_t a = 0; a < w.size(); ++a)
    if (w[a] > 0) sizes.push_back(a);
  return sizes;
}

}  // namespace

TEST_CASE("masking: weights are non-negative with sum 1 for every kind, step and number of features") {
  for (const Masking kind :
       {Masking::uniform, Masking::bernoulli, Masking::kernel, Masking::linear, Masking::progressive}) {
    CHECK(parse_masking(to_string(kind)) == kind);
    for (const std::int64_t features : {1, 2, 3, 5, 21, 64, 1500})
      for (const std::int64_t step : {0, 1, 50, 99, 200}) {
        const auto w = weights(kind, step, 100, features);
        REQUIRE(w.size() == static_cast<std::size_t>(features));
        CHECK(std::accumulate(w.begin(), w.end(), 0.0) == doctest::Approx(1).epsilon(1e-12));
        for (const double v : w) CHECK((v >= 0 && v <= 1));
      }
  }
}

TEST_CASE("masking: closed forms") {
  CHECK(weights(Masking::uniform, 3, 9, 4) == std::vector<double>(4, .25));
  const auto b = weights(Masking::bernoulli, 0, 1, 7);
  for (int a = 0; a < 7; ++a)
    CHECK(b[static_cast<std::size_t>(a)] == doctest::Approx(binomial(7, a) / 127).epsilon(1e-12));
  const auto k = weights(Masking::kernel, 0, 1, 5);  // (F - 1) / (a (F - a)): 1, 2/3, 2/3, 1
  CHECK(k[1] / k[2] == doctest::Approx(1.5));
  CHECK(k[2] == doctest::Approx(k[3]));
  CHECK(k[1] == doctest::Approx(k[4]));
  CHECK(k[0] == k[1]);
}

TEST_CASE("masking: the linear rate rises from the smallest to the largest") {
  // F = 10: |S| = round(10 (1 - rate)), from 8 at rate .2 to 2 at rate .8
  CHECK(support(weights(Masking::linear, 0, 1000, 10)) == std::vector<std::size_t>{8});
  CHECK(support(weights(Masking::linear, 500, 1001, 10)) == std::vector<std::size_t>{5});
  CHECK(support(weights(Masking::linear, 999, 1000, 10)) == std::vector<std::size_t>{2});
  CHECK(support(weights(Masking::linear, 5000, 1000, 10)) == std::vector<std::size_t>{2});
  CHECK(support(weights(Masking::progressive, 0, 1000, 10)) == std::vector<std::size_t>{8});
  CHECK(support(weights(Masking::progressive, 999, 1000, 10)) ==
        std::vector<std::size_t>{2, 3, 4, 5, 6, 7, 8});
  // At least one feature stays hidden, whatever the rates.
  const auto none = size_weights({.kind = Masking::linear, .min_mask_rate = 0, .max_mask_rate = 0}, 0, 1, 4);
  CHECK(support(none) == std::vector<std::size_t>{3});
  const auto all = size_weights({.kind = Masking::linear, .min_mask_rate = 1, .max_mask_rate = 1}, 0, 1, 4);
  CHECK(support(all) == std::vector<std::size_t>{0});
}

TEST_CASE("masking: what cannot be is refused") {
  CHECK_THROWS_AS(parse_masking("random"), ConfigError);
  CHECK_THROWS_AS(weights(Masking::uniform, 0, 1, 0), ConfigError);
  const auto with = [](double low, double high) {
    return size_weights({.kind = Masking::linear, .min_mask_rate = low, .max_mask_rate = high}, 0, 1, 3);
  };
  CHECK_THROWS_AS(with(-.1, .5), ConfigError);
  CHECK_THROWS_AS(with(.5, 1.1), ConfigError);
  CHECK_THROWS_AS(with(.8, .2), ConfigError);
  CHECK_THROWS_AS(with(std::nan(""), .2), ConfigError);
  Tensor mask({3, 2}), observed({2, 2});
  const std::vector<std::int64_t> rows{0, 1}, three{0, 1, 2};
  CHECK_THROWS_AS(draw_masks({}, rows, {}, mask), ShapeError);
  CHECK_THROWS_AS(draw_masks({}, three, observed, mask), ShapeError);
}

TEST_CASE("masking: sizes of drawn masks are uniform, all features alike, and missing entries never known") {
  constexpr std::int64_t rows = 20000, features = 5;
  std::vector<std::int64_t> numbers(rows);
  std::iota(numbers.begin(), numbers.end(), 0);
  Tensor mask({rows, features}), observed({rows, features});
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t t = 0; t < features; ++t)
      observed.ptr<float>()[i * features + t] = i % 2 == 0 || (t != 1 && t != 3) ? 1.F : 0.F;
  const RandomKey key{.seed = 5, .purpose = RandomPurpose::masking};
  draw_masks(key, numbers, observed, mask);
  std::vector<double> full(features), partial(features), known(features);
  for (std::int64_t i = 0; i < rows; ++i) {
    std::size_t size = 0;
    for (std::int64_t t = 0; t < features; ++t) {
      const float m = mask.ptr<float>()[i * features + t];
      REQUIRE((m == 0 || m == 1));
      REQUIRE(m <= observed.ptr<float>()[i * features + t]);
      size += m > 0 ? 1 : 0;
      if (i % 2 == 0) known[static_cast<std::size_t>(t)] += m;
    }
    (i % 2 == 0 ? full : partial)[size] += 1;
  }
  for (std::size_t a = 0; a < features; ++a) {
    CHECK(full[a] / (rows / 2) == doctest::Approx(.2).epsilon(.06));  // 5 sizes, sd .004
    CHECK(known[a] / (rows / 2) == doctest::Approx(.4).epsilon(.06));
    if (a < 3) CHECK(partial[a] / (rows / 2) == doctest::Approx(1. / 3).epsilon(.06));
  }
  CHECK(partial[3] + partial[4] == 0);

  // A row's mask depends on the key and its number only, and on neither the batch nor the element type.
  const std::vector<std::int64_t> some{17, 4, 19999};
  Tensor few({3, features}, DType::f64), there({3, features}, DType::f64);
  for (std::size_t i = 0; i < some.size(); ++i)
    for (std::int64_t t = 0; t < features; ++t)
      there.ptr<double>()[static_cast<std::int64_t>(i) * features + t] =
          static_cast<double>(observed.ptr<float>()[some[i] * features + t]);
  draw_masks(key, some, there, few);
  for (std::size_t i = 0; i < some.size(); ++i)
    for (std::int64_t t = 0; t < features; ++t)
      CHECK(few.ptr<double>()[static_cast<std::int64_t>(i) * features + t] ==
            static_cast<double>(mask.ptr<float>()[some[i] * features + t]));
}

TEST_CASE("masking: rows without any value") {
  Tensor mask({2, 3}), observed = Tensor::zeros({2, 3});
  const std::vector<std::int64_t> rows{0, 1};
  draw_masks({.seed = 1}, rows, observed, mask);
  for (int i = 0; i < 6; ++i) CHECK(mask.ptr<float>()[i] == 0);
}
