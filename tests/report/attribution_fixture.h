#pragma once
// Generated attributions for tests of the report and for a look at it: a server's power from correlated
// features, with an interaction.
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "emshap/report/attribution_report.h"

namespace emshap::test {

/// The same numbers everywhere: splitmix64 (Steele, Lea & Flood 2014), then a sum of twelve for a bell.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : state_(seed) {}
  double uniform() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
  }
  double bell() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += uniform();
    return sum;
  }

 private:
  std::uint64_t state_;
};

/// n rows of M features of their own columns, each number given, nothing flagged.
inline report::AttributionReport example_attributions(std::size_t n, std::size_t M) {
  const std::vector<std::string> known{"cpu_utilisation", "temperature_inlet", "memory_bandwidth",
                                       "disk_read_rate",  "fan_speed",         "network_in"};
  report::AttributionReport r;
  Numbers random(7);
  r.target = "power_consumption";
  r.unit = "W";
  r.method = "emshap";
  r.phi0 = 512.375;
  for (std::size_t j = 0; j < M; ++j)
    r.players.push_back(j < known.size() ? known[j] : "feature_" + std::to_string(j));
  r.columns = r.players;
  for (std::size_t i = 0; i < n; ++i) {
    double prediction = r.phi0;
    const double common = random.bell() + std::sin(static_cast<double>(i) / 12);
    std::vector<double> x(M);
    for (double& v : x) v = .5 * common + random.bell();
    for (std::size_t j = 0; j < M; ++j) {
      double phi = 60 * x[j] / static_cast<double>((j + 1) * (j + 1));
      if (j == 0 && M > 1) phi *= 1 + .5 * std::tanh(x[1]);
      if (j == 1) phi = 12 * std::cos(2 * x[1]);
      r.values.push_back(50 + 15 * x[j]);
      r.phi.push_back(phi);
      r.standard_error.push_back(.4 + .02 * std::abs(phi));
      prediction += phi;
    }
    r.prediction.push_back(prediction);
  }
  return r;
}

/// Everything a report can hold: nodes, times, flags, comparison, quality, provenance.
inline report::AttributionReport full_attributions(std::size_t n, std::size_t M) {
  report::AttributionReport r = example_attributions(n, M);
  Numbers random(11);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  r.sage_unit = "W\xC2\xB2";
  for (std::size_t j = 0; j < M; ++j) r.sage.push_back(3600 / static_cast<double>((j + 1) * (j + 2)) - 40);
  for (std::size_t i = 0; i < n; ++i) {
    r.actual.push_back(i % 11 == 3 ? nan : r.prediction[i] + 4 * random.bell());
    r.time.push_back(static_cast<double>(i / 2));
    const auto hour = static_cast<unsigned>(i / 2);
    const auto two = [](unsigned v) { return (v < 10 ? "0" : "") + std::to_string(v); };
    r.time_labels.push_back("2026-03-" + two(1 + hour / 24 % 28) + " " + two(hour % 24) + ":00");
    r.node.push_back(i % 2 == 0 ? "node-a" : "node-b");
    r.labels.push_back("row " + std::to_string(i));
    r.missing.push_back(i % 17 == 5 ? 1 : 0);
    r.unusual.push_back(i % 29 == 7 ? 1 : 0);
    r.converged.push_back(i % 13 == 4 ? 0 : 1);
    r.effective_min.push_back(60 + 50 * random.uniform());
    r.effective_mean.push_back(r.effective_min.back() + 15);
    if (r.missing.back() != 0) {
      r.values[i * M] = nan;
      r.prediction[i] -= r.phi[i * M];
      r.phi[i * M] = 0;
      r.standard_error[i * M] = 0;
    }
  }
  r.quality.comparison = {{"emshap", {812.4, 31.2}, {0, nan}, "recommended"},
                          {"gaussian", {901.7, 35.9}, {89.3, 12.1}, ""},
                          {"copula", {825.1, 30.8}, {12.7, 9.4}, ""},
                          {"independence", {1834.2, 80.1}, {1021.8, 55.3}, ""}};
  r.quality.draws = 128;
  r.quality.drawn = 1234567;
  r.quality.clamped = 3210;
  r.quality.coverage = {{.5, .512}, {.8, .794}, {.95, .941}};
  r.quality.energy_gain = report::Estimate{.0132, .0041};
  r.quality.tolerance = .02;
  r.quality.numbers = {{"ridge", "0", "added to the least-squares system; 0 when it was well conditioned"}};
  r.settings = {{"method", "emshap"},
                {"coalitions", "1,024 of 4,096, kernel"},
                {"draws", "128, 8 replicates"},
                {"seed", "42"}};
  r.provenance = {{"data", "servers.csv, rows 0:2000"},
                  {"data hash", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
                  {"model", "run 2026-03-01"}};
  r.warnings = {"3 columns are constant in the training data and get no attribution"};
  return r;
}

}  // namespace emshap::test
