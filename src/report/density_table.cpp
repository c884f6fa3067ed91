#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "emshap/report/density_evaluation.h"
#include "emshap/report/text_table.h"

namespace emshap::report {
namespace {

std::string with_error(const Estimate& e, int digits = 3) {
  if (std::isnan(e.value)) return "-";
  if (std::isnan(e.standard_error)) return fmt::format("{:.{}f}", e.value, digits);
  return fmt::format("{:.{}f} ±{:.{}f}", e.value, digits, e.standard_error, digits);
}

std::string signed_error(const Estimate& e, int digits = 3) {
  if (std::isnan(e.value)) return "-";
  const std::string text = with_error(e, digits);
  return e.value >= 0 ? "+" + text : text;
}

std::string percent(double share) {
  return std::isnan(share) ? "-" : fmt::format("{:.1f}", 100 * share);
}

/// In units of the variance of f; NaN where f does not vary.
Estimate relative(const Estimate& e, double variance) {
  if (!(variance > 0)) variance = std::numeric_limits<double>::quiet_NaN();
  return {e.value / variance, e.standard_error / variance};
}

std::string methods_table(const DensityEvaluation& e) {
  TextTable table(
      {{"method", Align::left}, {"LL"}, {"CRPS"}, {"NRMSE"}, {"50 %"}, {"80 %"}, {"95 %"}, {"MSEv"}});
  std::vector<std::string> shown;
  const auto value_of = [&](const std::string& method) {
    for (const ValueScores& v : e.values)
      if (v.method == method) return with_error(relative(v.msev, e.value_variance));
    return std::string("-");
  };
  for (const ConditionalScores& m : e.methods)
    table.add_row({m.method, with_error(m.log_likelihood), with_error(m.crps), fmt::format("{:.3f}", m.nrmse),
                   percent(m.coverage[0]), percent(m.coverage[1]), percent(m.coverage[2]),
                   value_of(m.method)});
  for (const ValueScores& v : e.values) {
    bool listed = false;
    for (const ConditionalScores& m : e.methods) listed = listed || m.method == v.method;
    if (!listed) table.add_row({v.method, "", "", "", "", "", "", value_of(v.method)});
  }
  return table.str();
}

}  // namespace

std::string density_table(const DensityEvaluation& e) {
  if (e.methods.empty()) return "";
  const ConditionalScores& ours = e.methods.front();
  std::string out = fmt::format("Density of the features, {} rows of {}", e.rows, e.part);
  if (e.clusters > 0) out += fmt::format(" in {} groups", e.clusters);
  out += fmt::format(", {} masks, {} unknown values\n", ours.pairs, ours.targets);
  out += methods_table(e);
  out +=
      "LL: nat per unknown feature, per training sd; CRPS and NRMSE: training sd; shares of values inside "
      "central "
      "intervals";
  out += e.values.empty() ? "\n" : "; MSEv: of the variance of f\n";
  if (!e.comparisons.empty()) {
    TextTable table({{"ours minus", Align::left}, {"LL"}, {"CRPS"}, {"MSEv"}});
    for (const DensityComparison& c : e.comparisons)
      table.add_row({c.baseline, signed_error(c.log_likelihood), signed_error(c.crps),
                     e.values.empty() ? "-" : signed_error(relative(c.msev, e.value_variance))});
    out += "\n" + table.str();
  }
  if (e.energy) {
    const EnergyScores& energy = *e.energy;
    out += fmt::format(
        "\nEnergy ({}): LL {} with it, {} without, gain {} on {} pairs; {:.0f} of {} draws are effective "
        "on average, {:.0f} at least\n",
        energy.used ? "used" : "not used", with_error(energy.full), with_error(energy.proposal),
        signed_error(energy.gain, 4), energy.pairs, energy.effective.mean(), energy.draws,
        energy.effective.min());
  }
  for (const std::string& note : e.notes) out += note + "\n";
  return out;
}

}  // namespace emshap::report
