#include "support/gradient_check.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace emshap::test {

double check_gradient(const std::string& what, std::span<double> values, std::span<const double> analytic,
                      const std::function<double()>& objective, GradientCheck options) {
  REQUIRE(values.size() == analytic.size());
  double squares = 0;
  for (const double a : analytic) squares += a * a;
  const double rms = values.empty() ? 0 : std::sqrt(squares / static_cast<double>(values.size()));
  double worst = 0;
  std::string text;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double kept = values[i];
    const auto difference = [&](double h) {
      values[i] = kept + h;
      const double up = objective();
      values[i] = kept - h;
      const double down = objective();
      values[i] = kept;
      return (up - down) / (2 * h);
    };
    const auto error_at = [&](double h, double& numeric) {
      numeric = (4 * difference(h / 2) - difference(h)) / 3;
      const double scale = std::max({std::abs(analytic[i]), std::abs(numeric), rms, 1e-8});
      const double error = std::abs(analytic[i] - numeric) / scale;
      return std::isfinite(error) ? error : INFINITY;
    };
    double numeric = 0;
    double error = error_at(options.step, numeric);
    if (error >= options.limit) error = error_at(options.small_step, numeric);
    if (error > worst || (i == 0 && error >= worst)) {
      worst = error;
      text = fmt::format("{}: worst at {} of {}: analytic {:.12g}, numeric {:.12g}, relative error {:.3g}",
                         what, i, values.size(), analytic[i], numeric, error);
    }
  }
  INFO(text);
  CHECK(worst < options.limit);
  return worst;
}

}  // namespace emshap::test
