#include <doctest/doctest.h>

#include <cmath>

#include "emshap/core/error.h"
#include "emshap/layers/initialisation.h"
#include "support/compare.h"

using namespace emshap;
using namespace emshap::test;

namespace {

constexpr RandomKey key{.seed = 3, .purpose = RandomPurpose::initialisation, .layer = 1};

struct Moments {
  double mean = 0, variance = 0, largest = 0;
};
Moments moments(const std::vector<double>& w) {
  Moments m;
  const auto n = static_cast<double>(w.size());
  for (const double v : w) m.mean += v / n;
  for (const double v : w) m.variance += (v - m.mean) * (v - m.mean) / n;
  m.largest = max_abs(w);
  return m;
}

}  // namespace

TEST_CASE("mean, variance and bound of each initialisation") {
  constexpr std::int64_t K = 300, N = 200;
  const auto check = [](Init init, Activation activation, double variance, double bound) {
    INFO(std::string(to_string(init)));
    const Moments m = moments(initial_weights(init, activation, key, K, N));
    const double n = static_cast<double>(K * N);
    CHECK(std::abs(m.mean) < 5 * std::sqrt(variance / n));
    CHECK(std::abs(m.variance / variance - 1) < 5 * std::sqrt(2 / n));
    if (bound > 0) {
      CHECK(m.largest <= bound);
      CHECK(m.largest > .999 * bound);
    }
  };
  check(Init::xavier_uniform, Activation::relu, 2.0 / (K + N), std::sqrt(6.0 / (K + N)));
  check(Init::xavier_normal, Activation::relu, 2.0 / (K + N), 0);
  check(Init::kaiming_uniform, Activation::relu, 2.0 / K, std::sqrt(6.0 / K));
  check(Init::kaiming_uniform, Activation::identity, 1.0 / K, std::sqrt(3.0 / K));
  check(Init::kaiming_normal, Activation::tanh, 25.0 / 9 / K, 0);
  CHECK(max_abs(initial_weights(Init::zeros, Activation::relu, key, 3, 4)) == 0);
}

TEST_CASE("orthogonal: orthonormal rows or columns times the gain") {
  for (const auto& [K, N] :
       {std::pair<std::int64_t, std::int64_t>{7, 7}, {12, 5}, {5, 12}, {1, 1}, {1, 6}, {33, 32}}) {
    const std::vector<double> w = initial_weights(Init::orthogonal, Activation::relu, key, K, N);
    const auto at = [&, N = N](std::int64_t r, std::int64_t c) {
      return w[static_cast<std::size_t>(r * N + c)];
    };
    const bool tall = K >= N;
    const std::int64_t count = tall ? N : K, length = tall ? K : N;
    for (std::int64_t i = 0; i < count; ++i)
      for (std::int64_t j = 0; j < count; ++j) {
        double dot = 0;
        for (std::int64_t k = 0; k < length; ++k) dot += tall ? at(k, i) * at(k, j) : at(i, k) * at(j, k);
        CHECK(std::abs(dot - (i == j ? 2.0 : 0.0)) < 1e-13);
      }
  }
}

TEST_CASE("streams of different parameters and seeds differ, empty matrices are fine") {
  const auto first = initial_weights(Init::xavier_uniform, Activation::relu, key, 4, 4);
  RandomKey other = key;
  other.layer = 2;
  CHECK(initial_weights(Init::xavier_uniform, Activation::relu, other, 4, 4) != first);
  other = key;
  other.seed = 4;
  CHECK(initial_weights(Init::xavier_uniform, Activation::relu, other, 4, 4) != first);
  CHECK(initial_weights(Init::orthogonal, Activation::relu, key, 0, 4).empty());
  CHECK_THROWS_AS(initial_weights(Init::zeros, Activation::relu, key, -1, 4), ConfigError);
}

TEST_CASE("names") {
  for (const Init i : {Init::zeros, Init::xavier_uniform, Init::xavier_normal, Init::kaiming_uniform,
                       Init::kaiming_normal, Init::orthogonal})
    CHECK(parse_init(to_string(i)) == i);
  CHECK_THROWS_AS(parse_init("he"), ConfigError);
}
