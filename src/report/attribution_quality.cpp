// What says whether attributions can be trusted.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "report/attribution_html.h"
#include "report/number_text.h"

namespace emshap::report {
namespace {

/// As many decimals as show two digits of the standard error.
std::string with_error(const Estimate& e) {
  if (std::isnan(e.value)) return unknown;
  const double error = e.standard_error;
  if (!std::isfinite(error) || !(error > 0)) return number_text(e.value);
  const int decimals = std::clamp(1 - static_cast<int>(std::floor(std::log10(error))), 0, 12);
  return fixed_text(e.value, decimals) + " &#177; " + fixed_text(error, decimals);
}

std::string comparison_table(const AttributionView& view) {
  const AttributionReport& r = view.report;
  if (r.quality.comparison.empty()) return {};
  const std::string unit = r.unit.empty() ? "" : " (" + escape_markup(r.unit) + "&#178;)";
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < r.quality.comparison.size(); ++i) {
    const ComparedMethod& m = r.quality.comparison[i];
    std::string verdict = unknown;
    if (i > 0 && std::isfinite(m.difference.standard_error)) {
      const double z = m.difference.value / m.difference.standard_error;
      verdict = z > 2 ? "worse" : z < -2 ? "better" : "no clear difference";
    }
    rows.push_back({escape_markup(m.name), escape_markup(m.note), with_error(m.msev),
                    i == 0 ? std::string(unknown) : with_error(m.difference), i == 0 ? "" : verdict});
  }
  return "<h3>Methods compared by MSEv</h3>\n" +
         note(
             "MSEv is the mean squared distance between the prediction and v(S), the prediction expected "
             "from the known features S: lower is better. A part of it is the same for all methods, so that "
             "only differences count; their standard errors are paired (same rows and coalitions). A "
             "difference within two standard errors tells nothing.") +
         simple_table({"method", "", "MSEv" + unit,
                       "difference to " + escape_markup(r.quality.comparison[0].name) + unit, ""},
                      rows, 2);
}

std::string distribution_table(const AttributionView& view) {
  const AttributionReport& r = view.report;
  std::vector<std::vector<std::string>> rows;
  const auto add = [&](const char* name, const std::vector<double>& values) {
    if (std::none_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); })) return;
    std::vector<std::string> row{name};
    for (const double p : {0., .05, .25, .5, .75, .95, 1.})
      row.push_back(number_text(finite_quantile(values, p)));
    rows.push_back(std::move(row));
  };
  add("least effective sample size of a row", r.effective_min);
  add("mean effective sample size of a row", r.effective_mean);
  std::vector<double> relative;  // largest standard error of a row, as a share of its range of phi
  for (std::size_t i = 0; i < view.rows && !r.standard_error.empty() && view.players > 0; ++i) {
    double low = view.phi(i, 0), high = low, worst = 0;
    for (std::size_t j = 0; j < view.players; ++j) {
      low = std::min(low, view.phi(i, j));
      high = std::max(high, view.phi(i, j));
      worst = std::isnan(view.error(i, j)) ? view.error(i, j) : std::max(worst, view.error(i, j));
    }
    if (high > low) relative.push_back(100 * worst / (high - low));
  }
  add("largest standard error of a row, % of its range of phi", relative);
  if (rows.empty()) return {};
  return "<h3>Over rows</h3>\n" +
         simple_table({"", "least", "5 %", "25 %", "median", "75 %", "95 %", "most"}, rows);
}

void add_share(std::vector<std::vector<std::string>>& rows, const char* name, double part, double all,
               const std::string& meaning) {
  rows.push_back({name,
                  fmt::format("{} of {} ({})", fixed_text(part, 0), fixed_text(all, 0),
                              percent_markup(all > 0 ? part / all : std::nan(""))),
                  meaning});
}

std::string numbers_table(const AttributionView& view) {
  const AttributionReport& r = view.report;
  const AttributionQuality& q = r.quality;
  std::vector<std::vector<std::string>> rows;
  const auto all = static_cast<double>(view.rows);
  const auto count = [](const std::vector<std::uint8_t>& flags) {
    return static_cast<double>(
        std::count_if(flags.begin(), flags.end(), [](std::uint8_t f) { return f != 0; }));
  };
  const auto given = [&](const char* name) {
    return std::any_of(q.numbers.begin(), q.numbers.end(),
                       [&](const QualityNumber& n) { return n.name == name; });
  };
  if (!r.converged.empty() && !given("rows converged") && !given("rows not converged"))
    add_share(rows, "rows converged", count(r.converged), all,
              q.tolerance > 0 ? "largest standard error below " + percent_markup(q.tolerance) +
                                    " of the row's range of phi"
                              : std::string("standard errors below the tolerance"));
  if (!r.unusual.empty() && !given("unusual rows"))
    add_share(rows, "unusual rows", count(r.unusual), all,
              "far outside the training data: neither the model nor the density was trained for them");
  if (!r.missing.empty() && !given("rows with missing values"))
    add_share(rows, "rows with missing values", count(r.missing), all,
              "missing values are unknown in every coalition; their phi is 0");
  if (q.drawn > 0)
    add_share(rows, "drawn values clamped", static_cast<double>(q.clamped), static_cast<double>(q.drawn),
              "draws put back into the widened training range; more than a few per cent means a density that "
              "does not fit");
  if (q.draws > 0) rows.push_back({"draws for one v(S)", fixed_text(static_cast<double>(q.draws), 0), ""});
  if (q.energy_gain)
    rows.push_back({"energy gain", with_error(*q.energy_gain),
                    "nat per unknown feature that the energy adds to the log-likelihood of unseen rows"});
  for (const QualityNumber& n : q.numbers)
    rows.push_back({escape_markup(n.name), escape_markup(n.value), escape_markup(n.meaning)});
  if (rows.empty()) return {};
  return "<h3>Numbers</h3>\n" + simple_table({"", "", "what it says"}, rows, 3);
}

std::string coverage_table(const AttributionView& view) {
  std::vector<std::vector<std::string>> rows;
  for (const CoverageShare& c : view.report.quality.coverage)
    rows.push_back({percent_markup(c.expected), percent_markup(c.observed)});
  if (rows.empty()) return {};
  return "<h3>Coverage of the density</h3>\n" +
         note(
             "Share of values of these rows, hidden at random, inside central intervals of their conditional "
             "distribution; equal to "
             "the left column when calibrated.") +
         simple_table({"interval", "values inside"}, rows);
}

std::string unusual_rows(const AttributionView& view) {
  std::string out;
  std::size_t listed = 0, all = 0;
  for (std::size_t i = 0; i < view.rows; ++i) {
    if (!view.flag(view.report.unusual, i)) continue;
    if (++all > 50) continue;
    out += (listed++ == 0 ? "" : ", ") + escape_markup(view.label(i));
  }
  if (all == 0) return {};
  return "<h3>Unusual rows</h3>\n" +
         note(out + (all > listed ? fmt::format(" and {} more", all - listed) : std::string()) +
              ": far outside the training data, their attributions are extrapolation.");
}

}  // namespace

std::string quality_section(const AttributionView& view, const std::string& pictures) {
  const std::string out = comparison_table(view) + numbers_table(view) + distribution_table(view) + pictures +
                          coverage_table(view) + unusual_rows(view);
  return out.empty() ? note("Nothing is known about the quality of these attributions.") : out;
}

}  // namespace emshap::report
