#include "emshap/data/estimate.h"

#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include <fmt/format.h>

#include "emshap/core/error.h"

namespace emshap {

Estimate ratio_estimate(std::span<const double> y, std::span<const double> n,
                        std::span<const std::int64_t> cluster) {
  if (y.size() != n.size() || (!cluster.empty() && cluster.size() != y.size()))
    throw ShapeError(
        fmt::format("ratio_estimate: {} values, {} weights and {} clusters, expected equal numbers", y.size(),
                    n.size(), cluster.size()));
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const double total = std::accumulate(n.begin(), n.end(), 0.0);
  if (!(total > 0)) return {nan, nan};
  const double value = std::accumulate(y.begin(), y.end(), 0.0) / total;
  std::map<std::int64_t, double> error;
  for (std::size_t i = 0; i < y.size(); ++i)
    error[cluster.empty() ? static_cast<std::int64_t>(i) : cluster[i]] += y[i] - value * n[i];
  if (error.size() < 2) return {value, nan};
  double square = 0;
  for (const auto& [name, e] : error) square += e * e;
  const auto clusters = static_cast<double>(error.size());
  return {value, std::sqrt(square * clusters / (clusters - 1)) / total};
}

}  // namespace emshap
