#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "math/batch_norm.h"
#include "math/moments.h"

using namespace emshap::math;

TEST_CASE("moments of parts are those of the whole, whatever the parts") {
  const double offset = 1e6;
  std::vector<double> values;
  for (int i = 0; i < 37; ++i) values.push_back(offset + std::sin(i * 1.7) * 3);
  double mean = 0, m2 = 0;
  for (const double v : values) mean += v / 37;
  for (const double v : values) m2 += (v - mean) * (v - mean);
  for (const int part : {1, 2, 5, 8}) {
    Moments all;
    for (int begin = 0; begin < 37; begin += part) {
      double value[8] = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};  // beyond the count nothing is read
      const int count = std::min(part, 37 - begin);
      for (int i = 0; i < count; ++i) value[i] = values[static_cast<std::size_t>(begin + i)];
      all = merged(all, moments_of(value, count));
    }
    CHECK(all.count == 37);
    CHECK(all.mean == doctest::Approx(mean).epsilon(1e-14));
    CHECK(all.m2 == doctest::Approx(m2).epsilon(1e-9));
  }
  const double none[2] = {};
  CHECK(moments_of(none, 0).count == 0);
  CHECK(merged(Moments{}, Moments{}).m2 == 0);
  CHECK(merged({3, 5, 7}, Moments{}).mean == 5);
}

TEST_CASE("f32 values with a large mean keep their spread") {
  const float value[4] = {65536, 65537, 65538, 65539};
  const Moments m = moments_of(value, 4);
  CHECK(m.mean == 65537.5);
  CHECK(m.m2 == 5);
}

TEST_CASE("dx of batch normalisation is orthogonal to the column and sums to zero") {
  const double x[4] = {1, 2, 4, 9}, dz[4] = {.3, -.2, .7, .1}, mean = 4, variance = 9.5;
  const auto map = norm_map<double>(mean, mean, variance, 1.5, .2, 1e-5, 1.);
  double sum = 0, product = 0, total = 0, along = 0;
  for (int i = 0; i < 4; ++i) {
    sum += dz[i];
    product += dz[i] * (x[i] - mean);
  }
  const auto k = norm_backward<double>(sum, product, 1.5, map.rstd, 1., .25);
  for (int i = 0; i < 4; ++i) {
    const double dx = norm_input_gradient(k, dz[i], x[i] - mean);
    total += dx;
    along += dx * (x[i] - mean);
  }
  CHECK(std::abs(total) < 1e-14);
  CHECK(std::abs(along) < 1e-5);  // eps is in rstd
  CHECK(normalized(9., 4., map.scale, map.shift) == doctest::Approx(1.5 * 5 * map.rstd + .2));
}
