#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "emshap/core/random.h"
#include "math/mixture_quantile.h"
#include "math/pack.h"

using namespace emshap;

namespace {

struct Mixture {
  std::vector<double> weight, mean, sd;
};

/// log of the share of u (or 1 - u, the smaller) that x leaves on its side.
double error_of_level(const Mixture& m, double x, double u) {
  double below = 0, above = 0, total = 0;
  for (std::size_t c = 0; c < m.weight.size(); ++c) {
    const double d = (x - m.mean[c]) / m.sd[c];
    below += m.weight[c] * .5 * std::erfc(-d / std::sqrt(2.));
    above += m.weight[c] * .5 * std::erfc(d / std::sqrt(2.));
    total += m.weight[c];
  }
  return u > .5 ? std::log(above / ((1 - u) * total)) : std::log(below / (u * total));
}

std::vector<Mixture> mixtures() {
  std::vector<Mixture> out{{{1}, {3}, {2}},
                           {{.5, .5}, {-4, 4}, {.5, .5}},
                           {{.999, .001}, {0, 30}, {1, .01}},
                           {{1, 0, 2}, {0, 1e6, 1}, {1, 1e-3, 3}},
                           {{.2, .2, .2, .2, .2}, {-.3, -.15, 0, .15, .3}, {1, 1, 1, 1, 1}},
                           {{1e-20, 1e-20}, {0, 1}, {1, 1}},
                           {{1, 1}, {0, 0}, {1e-3, 1e3}}};
  Generator random({.seed = 5});
  for (int i = 0; i < 60; ++i) {
    Mixture m;
    for (int c = 0; c < 5; ++c) {
      m.weight.push_back(std::exp(2 * random.normal()));
      m.mean.push_back(2 * random.normal());
      m.sd.push_back(std::exp(random.normal() - 1));
    }
    out.push_back(m);
  }
  return out;
}

template <class V>
V as(double x) {
  return V(static_cast<math::scalar_of<V>>(x));
}

template <class V>
std::vector<V> all_as(const std::vector<double>& values) {
  std::vector<V> out;
  for (const double v : values) out.push_back(as<V>(v));
  return out;
}

}  // namespace

TEST_SUITE("mixture quantile") {
  TEST_CASE("the distribution function at the quantile is the level, in both tails") {
    double worst = 0, worst_single = 0;
    for (const Mixture& m : mixtures()) {
      const int C = static_cast<int>(m.weight.size());
      std::vector<double> work(m.weight.size());
      std::vector<float> work_single(m.weight.size());
      const auto w = all_as<float>(m.weight), mean = all_as<float>(m.mean), sd = all_as<float>(m.sd);
      Mixture rounded = m;
      for (std::size_t c = 0; c < w.size(); ++c) {
        rounded.weight[c] = static_cast<double>(w[c]);
        rounded.mean[c] = static_cast<double>(mean[c]);
        rounded.sd[c] = static_cast<double>(sd[c]);
      }
      double before = -1e300;
      for (const double u : {1e-9, 1e-6, 1e-3, .01, .1, .25, .5, .500001, .6, .75, .9, .99, .999, 1 - 1e-6}) {
        const double x =
            math::mixture_quantile(C, m.weight.data(), m.mean.data(), m.sd.data(), u, work.data());
        CHECK(x >= before);
        before = x;
        worst = std::max(worst, std::abs(error_of_level(m, x, u)));
        const auto us = static_cast<float>(u);
        const float xs = math::mixture_quantile(C, w.data(), mean.data(), sd.data(), us, work_single.data());
        // What a last bit of x is worth is not the method's fault.
        const double step = std::abs(static_cast<double>(std::nextafter(xs, 1e30f) - xs));
        const auto level = static_cast<double>(us);
        const double bit = std::abs(error_of_level(rounded, static_cast<double>(xs) + step, level) -
                                    error_of_level(rounded, static_cast<double>(xs) - step, level));
        worst_single =
            std::max(worst_single, std::abs(error_of_level(rounded, static_cast<double>(xs), level)) - bit);
      }
    }
    MESSAGE("worst error of the level: ", worst, " in double, ", worst_single, " in float");
    CHECK(worst < 1e-7);
    CHECK(worst_single < 2e-3);
  }

  TEST_CASE("lanes of a pack do not depend on each other") {
    using V = math::Pack<float, 8>;
    const auto all = mixtures();
    const Mixture &a = all[10], &b = all[20];
    std::vector<V> w(5), mean(5), sd(5), work(5);
    V u(.5f);
    for (int lane = 0; lane < 8; ++lane) {
      const Mixture& m = lane % 3 == 0 ? a : b;
      u.set(lane, .03f + .12f * static_cast<float>(lane));
      for (std::size_t c = 0; c < 5; ++c) {
        w[c].set(lane, static_cast<float>(m.weight[c]));
        mean[c].set(lane, static_cast<float>(m.mean[c]));
        sd[c].set(lane, static_cast<float>(m.sd[c]));
      }
    }
    const V x = math::mixture_quantile(5, w.data(), mean.data(), sd.data(), u, work.data());
    for (int lane = 0; lane < 8; ++lane) {
      const Mixture& m = lane % 3 == 0 ? a : b;
      const auto wl = all_as<float>(m.weight), ml = all_as<float>(m.mean), sl = all_as<float>(m.sd);
      std::vector<float> work_single(5);
      CHECK(x[lane] ==
            math::mixture_quantile(5, wl.data(), ml.data(), sl.data(), u[lane], work_single.data()));
    }
  }
}
