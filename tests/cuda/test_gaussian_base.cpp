#include "emshap/ops/gaussian_base.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "cuda/compare_op.h"

using namespace emshap;
using namespace emshap::test;

namespace {

/// Mean and covariance of F features that hang together.
struct Base {
  std::vector<double> mean, cov;
  explicit Base(std::int64_t F) : mean(random_values(F, 11)) {
    constexpr std::int64_t factors = 5;
    const auto a = random_values(F * factors, 12);
    for (std::int64_t i = 0; i < F; ++i)
      for (std::int64_t j = 0; j < F; ++j) {
        double sum = i == j ? .5 : 0;
        for (std::int64_t k = 0; k < factors; ++k)
          sum += a[static_cast<std::size_t>(i * factors + k)] * a[static_cast<std::size_t>(j * factors + k)];
        cov.push_back(sum);
      }
  }
};

/// An order of all features in each row, of which all, nothing or a part is used.
struct Orders {
  std::vector<std::int32_t> order, count;
  Orders(std::int64_t B, std::int64_t F) {
    for (std::int64_t b = 0; b < B; ++b) {
      const auto keys = random_values(F, 100 + static_cast<std::uint64_t>(b));
      std::vector<std::int32_t> one(static_cast<std::size_t>(F));
      std::iota(one.begin(), one.end(), 0);
      std::sort(one.begin(), one.end(), [&](std::int32_t i, std::int32_t j) {
        return keys[static_cast<std::size_t>(i)] < keys[static_cast<std::size_t>(j)];
      });
      order.insert(order.end(), one.begin(), one.end());
      count.push_back(static_cast<std::int32_t>(b % 3 == 0 ? F : (7 * b) % (F + 1)));
    }
  }
};

constexpr Tolerance moments{2e-5, 2e-5};

void check_moments(std::int64_t B, std::int64_t F) {
  const std::string at = fmt::format(", {} rows of {}", B, F);
  const Base base(F);
  const Orders orders(B, F);
  const Shape rows{B, F};
  auto x = random_values(B * F, 5), known = x, mask = random_values(B * F, 6);
  for (std::int64_t i = 0; i < B * F; ++i) {  // what is not used is not read
    const auto e = static_cast<std::size_t>(i);
    const std::int64_t b = i / F;
    mask[e] = b % 4 == 1 ? 0 : b % 4 == 2 ? 1 : mask[e] > 0;
    if (mask[e] == 0) known[e] = NAN;
    if (i % F >= orders.count[static_cast<std::size_t>(b)])
      x[static_cast<std::size_t>(b * F + orders.order[e])] = NAN;
  }
  compare_op(
      "base_prefix_moments" + at,
      [&](Side& s) {
        ops::base_prefix_moments(s.ctx(), s.wide(base.mean, {F}), s.wide(base.cov, {F, F}), s.in(x, rows),
                                 s.integers(orders.order, rows), s.integers(orders.count, {B}),
                                 s.out("mu", {B, F, F}), s.out("log_sd", {B, F, F}));
      },
      moments);
  compare_op(
      "base_conditionals" + at,
      [&](Side& s) {
        ops::base_conditionals(s.ctx(), s.wide(base.mean, {F}), s.wide(base.cov, {F, F}), s.in(known, rows),
                               s.in(mask, rows), s.out("mu", rows), s.out("log_sd", rows));
      },
      moments);
  compare_op(
      "base_gains" + at,
      [&](Side& s) {
        ops::base_gains(s.ctx(), s.wide(base.cov, {F, F}), s.integers(orders.order, rows),
                        s.integers(orders.count, {B}), s.out("gains", {B, F, F}), s.out("log_sd", rows));
      },
      moments);
}

void check_update(std::int64_t B, std::int64_t F, std::int64_t draws) {
  const Orders orders(B, F);
  std::vector<std::int32_t> position;
  for (std::int64_t b = 0; b < B; ++b) position.push_back(b % 5 == 2 ? -1 : static_cast<std::int32_t>(b % F));
  const auto gains = random_values(B * F * F, 1), x = random_values(B * draws * F, 2),
             mean = random_values(B * draws * F, 3);
  const Shape rows{B * draws, F};
  compare_op(fmt::format("base_update, {} rows of {}, {} draws", B, F, draws),
             [&](Side& s) {
               ops::base_update(s.ctx(), s.in(gains, {B, F, F}), s.integers(orders.order, {B, F}),
                                s.integers(position, {B}), s.in(x, rows), s.inout("mean", mean, rows));
             },
             {1e-5, 1e-5});
}

}  // namespace

TEST_CASE("moments of the base on every device equal the CPU in double") {
  for (const std::int64_t B : {0, 1, 2, 9})
    for (const std::int64_t F : {1, 2, 7, 8, 21, 31, 32, 33}) check_moments(B, F);
  for (const std::int64_t F : {64, 65, 129}) check_moments(3, F);
}

TEST_CASE("moments of more features than shared memory holds") {
  check_moments(3, 250);
}

TEST_CASE("updates of the base's means on every device equal the CPU in double") {
  for (const std::int64_t B : {0, 1, 9})
    for (const std::int64_t F : {1, 7, 32, 33})
      for (const std::int64_t draws : {1, 5}) check_update(B, F, draws);
}
