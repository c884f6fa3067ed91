#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "level_functions.h"

using namespace emshap;
using namespace emshap::test;

namespace {

struct Bound {
  Function function;
  std::string name;
  double ulp;  // as stated in the headers
  double (*reference)(double);
  bool times_x =
      false;  // a product of x with a factor that may be subnormal, so off by |x| steps of 2^-150 more
};

double phi(double x) {
  return .5 * std::erfc(-x * std::sqrt(.5));
}
double sigmoid(double x) {
  return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x));
}

const Bound bounds[] = {
    {Function::exp, "exp", 1.5, [](double x) { return std::exp(x); }},
    {Function::log, "log", 1, [](double x) { return std::log(x); }},
    {Function::log1p, "log1p", 2, [](double x) { return std::log1p(x); }},
    {Function::tanh, "tanh", 2, [](double x) { return std::tanh(x); }},
    {Function::sigmoid, "sigmoid", 3, sigmoid},
    {Function::softplus, "softplus", 3,
     [](double x) { return std::max(x, 0.) + std::log1p(std::exp(-std::abs(x))); }},
    {Function::erf, "erf", 2, [](double x) { return std::erf(x); }},
    {Function::normal_cdf, "normal_cdf", 8, phi},
    {Function::gelu, "gelu", 9, [](double x) { return std::isinf(x) && x < 0 ? -0. : x * phi(x); }, true},
    {Function::silu, "silu", 4, [](double x) { return std::isinf(x) && x < 0 ? -0. : x * sigmoid(x); }, true},
};

/// In units in the last place of a float of the size of `exact`, less what `slack` allows.
double error_in_ulp(float got, double exact, double slack = 0) {
  if (got == static_cast<float>(exact) && got != 0) return .5;  // or less: correctly rounded
  if (std::isnan(exact) || std::isnan(got)) return std::isnan(exact) && std::isnan(got) ? 0 : 1e9;
  if (std::isinf(exact)) return static_cast<double>(got) == exact ? 0 : 1e9;
  if (exact == 0) return got == 0 && std::signbit(got) == std::signbit(exact) ? 0 : 1e9;
  int exponent;
  std::frexp(exact, &exponent);
  const double ulp = std::ldexp(1., std::max(std::min(exponent, 128) - 24, -149));
  const double value =
      std::isinf(got) ? std::copysign(0x1p128, static_cast<double>(got)) : static_cast<double>(got);
  if (std::abs(exact) >= 0x1p128) return std::isinf(got) && (got > 0) == (exact > 0) ? 0 : 1e9;
  return std::max(0., std::abs(value - exact) - slack) / ulp;
}

double slack(const Bound& bound, float x) {
  return bound.times_x && x < -10 && x > -1000 ? std::abs(static_cast<double>(x)) * 0x1p-150 : 0;
}

struct Worst {
  double ulp = -1;
  float x = 0, got = 0;
  std::int64_t unequal = 0;  // elements where the scalar formula has other bits than the pack
};

/// Every `stride`-th of the 2^32 floats, on all processors; one Worst per level.
std::vector<Worst> sweep(const Bound& bound, std::uint64_t stride) {
  const auto all = function_levels();
  constexpr std::int64_t chunk = 16384 - 3;  // ends in a partial pack at every width
  const std::uint64_t total = ((std::uint64_t{1} << 32) + stride - 1) / stride;
  std::vector<Worst> worst(all.size());
  std::mutex mutex;
  std::atomic<std::uint64_t> next{0};
  const auto work = [&] {
    std::vector<float> x(chunk), packs(chunk), scalars(chunk);
    std::vector<double> exact(chunk);
    std::vector<Worst> mine(all.size());
    for (;;) {
      const std::uint64_t begin = next.fetch_add(chunk);
      if (begin >= total) break;
      const auto n = static_cast<std::int64_t>(std::min<std::uint64_t>(chunk, total - begin));
      for (std::int64_t i = 0; i < n; ++i) {
        const auto k = static_cast<std::size_t>(i);
        x[k] = std::bit_cast<float>(static_cast<std::uint32_t>((begin + k) * stride));
        exact[k] = bound.reference(static_cast<double>(x[k]));
      }
      for (std::size_t l = 0; l < all.size(); ++l) {
        all[l].packs(bound.function, x.data(), packs.data(), n);
        all[l].scalars(bound.function, x.data(), scalars.data(), n);
        for (std::size_t k = 0; k < static_cast<std::size_t>(n); ++k) {
          const bool both_nan = std::isnan(packs[k]) && std::isnan(scalars[k]);
          if (!both_nan && std::memcmp(&packs[k], &scalars[k], sizeof(float)) != 0) ++mine[l].unequal;
          const double e = error_in_ulp(packs[k], exact[k], slack(bound, x[k]));
          if (e > mine[l].ulp) mine[l].ulp = e, mine[l].x = x[k], mine[l].got = packs[k];
        }
      }
    }
    const std::lock_guard lock(mutex);
    for (std::size_t l = 0; l < all.size(); ++l) {
      mine[l].unequal += worst[l].unequal;
      if (worst[l].ulp > mine[l].ulp) {
        const auto unequal = mine[l].unequal;
        mine[l] = worst[l];
        mine[l].unequal = unequal;
      }
      worst[l] = mine[l];
    }
  };
  std::vector<std::thread> threads;
  for (unsigned t = 1; t < std::max(1u, std::thread::hardware_concurrency()); ++t) threads.emplace_back(work);
  work();
  for (auto& t : threads) t.join();
  return worst;
}

void check_bounds(std::uint64_t stride) {
  const auto all = function_levels();
  for (const Bound& bound : bounds) {
    const auto worst = sweep(bound, stride);
    for (std::size_t l = 0; l < all.size(); ++l) {
      INFO(bound.name << " at " << std::string(to_string(all[l].level)) << ": worst at x = " << worst[l].x
                      << ", got " << worst[l].got);
      CHECK(worst[l].ulp <= bound.ulp);
      CHECK(worst[l].unequal == 0);
    }
  }
}

}  // namespace

TEST_CASE("float functions keep their error bounds on every 257th float") {
  check_bounds(257);
}

TEST_SUITE("slow functions") {
  TEST_CASE("float functions keep their error bounds on all floats") {
    check_bounds(1);
  }
}

TEST_CASE("float functions at their limits") {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> x = {0.f,
                                -0.f,
                                inf,
                                -inf,
                                nan,
                                -nan,
                                0x1p-149f,
                                -0x1p-149f,
                                0x1p-126f,
                                1.f,
                                -1.f,
                                88.7228f,
                                88.7229f,
                                -87.3366f,
                                -103.97f,
                                -103.98f,
                                0x1.fffffep127f,
                                -0x1.fffffep127f,
                                .625f,
                                0x1.fffffep-1f};
  for (const LevelFunctions& level : function_levels())
    for (const Bound& bound : bounds) {
      std::vector<float> y(x.size());
      level.packs(bound.function, x.data(), y.data(), static_cast<std::int64_t>(x.size()));
      for (std::size_t i = 0; i < x.size(); ++i) {
        INFO(bound.name << "(" << x[i] << ") = " << y[i] << " at " << std::string(to_string(level.level)));
        CHECK(error_in_ulp(y[i], bound.reference(static_cast<double>(x[i])), slack(bound, x[i])) <=
              bound.ulp);
      }
    }
}

TEST_CASE("bits do not depend on where an element stands") {
  for (const LevelFunctions& level : function_levels())
    for (const Bound& bound : bounds)
      for (int n = 0; n <= 40; ++n) {
        std::vector<float> x(static_cast<std::size_t>(n)), packs(x), scalars(x);
        for (std::size_t i = 0; i < x.size(); ++i) x[i] = .37f * static_cast<float>(i) - 3.1f;
        level.packs(bound.function, x.data(), packs.data(), n);
        level.scalars(bound.function, x.data(), scalars.data(), n);
        for (std::size_t i = 0; i < x.size(); ++i)
          CHECK(((std::isnan(packs[i]) && std::isnan(scalars[i])) || packs[i] == scalars[i]));
      }
}
