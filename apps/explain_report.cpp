#include "explain_report.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "emshap/core/random.h"
#include "emshap/core/version.h"
#include "emshap/models/emshap_model.h"
#include "emshap/report/attribution_report.h"
#include "emshap/report/density_scores.h"
#include "emshap/report/text_table.h"

namespace emshap::app {
namespace {

std::string in_unit(const std::string& name, const std::string& unit) {
  return unit.empty() ? name : fmt::format("{} ({})", name, unit);
}

std::string of_rows(std::int64_t some, std::int64_t all) {
  return fmt::format("{} of {} rows", some, all);
}

/// At most `limit` numbers below n, a seeded choice, ascending.
std::vector<std::int64_t> sample(std::int64_t n, std::int64_t limit, std::uint64_t seed) {
  std::vector<std::int64_t> out(static_cast<std::size_t>(n));
  std::iota(out.begin(), out.end(), std::int64_t{0});
  if (n <= limit) return out;
  out = permutation({seed, RandomPurpose::shuffle, 8, 0}, n);
  out.resize(static_cast<std::size_t>(limit));
  std::sort(out.begin(), out.end());
  return out;
}

void add_rows(const Explained& all, const std::vector<std::int64_t>& rows, report::AttributionReport& out) {
  const ExplainRows& data = all.data;
  const Column* time = data.time();
  const Column* node = data.node();
  const std::int64_t D = data.raw.cols();
  for (const std::int64_t i : rows) {
    const ExplainedRow row = all.run.log().read(i, 1).front();
    const float* raw = data.raw.ptr<float>() + i * D;
    out.values.insert(out.values.end(), raw, raw + D);
    out.phi.insert(out.phi.end(), row.phi.begin(), row.phi.end());
    out.standard_error.insert(out.standard_error.end(), row.standard_error.begin(), row.standard_error.end());
    out.prediction.push_back(row.prediction);
    if (!data.actual.empty()) out.actual.push_back(data.actual[static_cast<std::size_t>(i)]);
    const auto flag = [&row](std::uint32_t bit) { return static_cast<std::uint8_t>((row.flags & bit) != 0); };
    out.missing.push_back(flag(ExplainedRow::missing));
    out.unusual.push_back(flag(ExplainedRow::unusual));
    out.converged.push_back(flag(ExplainedRow::not_converged) == 0);
    out.effective_min.push_back(row.effective_min);
    out.effective_mean.push_back(row.effective_mean);
    const std::int64_t at = data.rows[static_cast<std::size_t>(i)];
    out.labels.push_back(fmt::format("row {}", row.row));
    if (time != nullptr)
      out.time.push_back(time->present(at) ? static_cast<double>(time->i64()[static_cast<std::size_t>(at)])
                                           : std::nan(""));
    if (node != nullptr) out.node.emplace_back(node->text(at));
  }
}

void add_quality(const Explained& all, report::AttributionReport& out) {
  const AttributionRun& run = all.run;
  if (all.comparison)
    for (std::size_t m = 0; m < all.comparison->methods.size(); ++m) {
      const MethodResult& method = all.comparison->methods[m];
      out.quality.comparison.push_back({method.name, method.msev,
                                        m == 0 ? Estimate{0, std::nan("")} : all.comparison->difference(m, 0),
                                        m == all.comparison->recommended ? "recommended" : ""});
    }
  out.quality.draws = all.values.evaluations();
  out.quality.drawn = run.drawn();
  out.quality.clamped = run.clamped();
  out.quality.tolerance = run.explainer().options().tolerance;
  if (all.models.density && !std::isnan(all.models.density->energy_gain))
    out.quality.energy_gain = Estimate{all.models.density->energy_gain, std::nan("")};
  const auto share = [&](std::uint32_t flag) { return of_rows(run.flagged(flag), run.log().rows()); };
  out.quality.numbers = {
      {"MSEv",
       fmt::format("{} {}", report::format_number(run.importance().msev()),
                   out.unit.empty() ? "" : out.unit + "²"),
       "mean of (f(x) - v(S, x))² over coalitions and rows; only differences between methods mean something"},
      {"coalitions",
       fmt::format("{} ({})", run.explainer().coalitions().size(),
                   to_string(run.explainer().coalitions().strategy)),
       run.explainer().exact() ? "all there are" : "the same for all rows"},
      {"unusual rows", share(ExplainedRow::unusual), "less likely than 99.9 % of the training rows"},
      {"rows outside the training range", share(ExplainedRow::outside), "in at least one value"},
      {"rows with missing values", share(ExplainedRow::missing), "these values take no part"},
      {"rows not converged", share(ExplainedRow::not_converged),
       "largest standard error above the tolerance"}};
  if (run.explainer().ridge() > 0)
    out.quality.numbers.push_back({"ridge", report::format_number(run.explainer().ridge()),
                                   "added since the coalitions hardly determine the values"});
}

/// How often the density's central intervals hold values of these rows that are hidden from it.
void add_coverage(const Explained& all, std::vector<std::int64_t> rows, TeamPool& pool, std::uint64_t seed,
                  report::AttributionReport& out) {
  constexpr std::size_t most_rows = 500;
  constexpr std::int64_t masks_a_row = 2;
  if (!all.models.density || rows.empty()) return;
  rows.resize(std::min(rows.size(), most_rows));
  const FeatureSpace& space = all.models.density->space;
  const std::int64_t n = static_cast<std::int64_t>(rows.size()), D = all.data.raw.cols();
  Tensor raw({n, D});
  for (std::int64_t i = 0; i < n; ++i)
    std::copy_n(all.data.raw.ptr<float>() + rows[static_cast<std::size_t>(i)] * D, D,
                raw.ptr<float>() + i * D);
  const ModelRows model = ModelRows::exact(space, raw);
  const report::MaskedRows pairs = report::uniform_masks(model.observed, masks_a_row, seed);
  if (pairs.pairs() == 0) return;
  const report::ConditionalScores scores = report::score_conditionals(
      space, all.models.density->model->proposal(), raw, pairs, {"model", seed, {}}, pool);
  for (std::size_t i = 0; i < report::coverage_levels.size(); ++i)
    out.quality.coverage.push_back({report::coverage_levels[i], scores.coverage[i]});
}

}  // namespace

std::vector<std::string> explanation_warnings(const AttributionRun& run, const ValueFunction& values,
                                              const std::vector<std::int64_t>& outside_by_feature) {
  std::vector<std::string> out;
  const std::int64_t n = run.log().rows();
  const auto add = [&](std::int64_t count, const std::string& text) {
    if (count > 0) out.push_back(of_rows(count, n) + " " + text);
  };
  const std::vector<double> spread = run.importance().mean_absolute();
  const double scale = std::abs(run.explainer().phi0());
  if (std::all_of(spread.begin(), spread.end(), [&](double x) { return x <= 1e-6 * scale; }))
    out.emplace_back(
        "the model gives the same value for these rows and for the background: there is nothing to "
        "attribute");
  add(run.flagged(ExplainedRow::unusual),
      "are less likely than 99.9 % of the training rows: neither the model nor its explanation is to be "
      "trusted "
      "there");
  std::string columns;
  for (std::size_t t = 0; t < outside_by_feature.size(); ++t)
    if (outside_by_feature[t] > 0)
      columns += fmt::format("{}{} {}", columns.empty() ? "" : ", ",
                             run.typicality()->space().columns()[t].name, outside_by_feature[t]);
  add(run.flagged(ExplainedRow::outside), "have values outside the range of the training rows: " + columns);
  add(run.flagged(ExplainedRow::missing),
      "lack values: what is missing gets 0, and the prediction is the expectation given the rest");
  if (2 * run.flagged(ExplainedRow::not_converged) > n) {
    const auto square = [](std::vector<double> errors) {
      double sum = 0;
      for (const double e : errors) sum += std::isnan(e) ? 0 : e * e;
      return sum;
    };
    const double noise = square(run.noise_error()), sampling = square(run.sampling_error());
    add(run.flagged(ExplainedRow::not_converged),
        fmt::format("have standard errors above the tolerance, {}",
                    noise > 4 * sampling
                        ? "mostly by the noise of the values: a larger --samples makes them smaller"
                    : sampling > 4 * noise
                        ? "mostly by the choice of coalitions: a larger --budget makes them smaller"
                        : "by the choice of coalitions and the noise of the values alike: a larger --samples "
                          "and a larger --budget together make them smaller"));
  }
  if (values.shared_noise() && values.replicates() == 1)
    out.emplace_back("with one replicate there are no standard errors of the noise");
  if (run.explainer().ridge() > 0)
    out.push_back(
        fmt::format("the coalitions hardly determine the values: a ridge of {:.2g} was added; a larger "
                    "--budget avoids it",
                    run.explainer().ridge()));
  if (run.drawn() > 0 && 20 * run.clamped() > run.drawn())
    out.push_back(fmt::format("{:.1f} % of the drawn values were put back into the training range",
                              100. * static_cast<double>(run.clamped()) / static_cast<double>(run.drawn())));
  if (std::isfinite(run.effective_mean()) &&
      run.effective_mean() < .1 * static_cast<double>(values.evaluations()))
    out.push_back(fmt::format("weights are uneven: the mean effective sample size is {:.1f} of {}",
                              run.effective_mean(), values.evaluations()));
  return out;
}

std::string explanation_summary(const Explained& all) {
  const AttributionRun& run = all.run;
  const std::vector<std::string>& names = run.explainer().players().names;
  const std::vector<double> absolute = run.importance().mean_absolute(), mean = run.importance().mean(),
                            sage = run.importance().sage(), sampling = run.sampling_error(),
                            noise = run.noise_error();
  std::vector<std::size_t> order(names.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return absolute[a] > absolute[b]; });
  report::TextTable table({{"player", report::Align::left},
                           {in_unit("mean |phi|", all.about.unit)},
                           {"mean phi"},
                           {"standard error"},
                           {"SAGE"}});
  for (const std::size_t j : order)
    table.add_row({names[j], report::format_number(absolute[j]), report::format_number(mean[j]),
                   report::format_number(std::hypot(sampling[j], noise[j])), report::format_number(sage[j])});
  return table.str() +
         fmt::format("phi0 {}{}, {} rows, {} coalitions ({}){}\n",
                     report::format_number(run.explainer().phi0()),
                     all.about.unit.empty() ? "" : " " + all.about.unit, run.log().rows(),
                     run.explainer().coalitions().size(),
                     run.explainer().exact() ? "all" : to_string(run.explainer().coalitions().strategy),
                     std::isnan(run.importance().msev())
                         ? ""
                         : ", MSEv " + report::format_number(run.importance().msev()));
}

void write_report(const Explained& all, const std::filesystem::path& folder, std::int64_t rows,
                  TeamPool& pool, Session& session) {
  const Explainer& explainer = all.run.explainer();
  report::AttributionReport out;
  out.target = all.about.target;
  out.unit = all.about.unit;
  out.method = all.about.method;
  out.players = explainer.players().names;
  out.columns = explainer.columns();
  out.grouping = explainer.players().columns;
  out.phi0 = explainer.phi0();
  const std::int64_t n = all.run.log().rows();
  const std::vector<std::int64_t> shown = sample(n, rows, session.seed());
  add_rows(all, shown, out);
  add_coverage(all, shown, pool, session.seed(), out);
  out.explained = n;
  out.mean_absolute = all.run.importance().mean_absolute();
  out.sage = all.run.importance().sage();
  out.sage_unit = out.unit.empty() ? "" : out.unit + "²";
  add_quality(all, out);
  out.settings = {
      {"method", all.about.method},
      {"coalitions", fmt::format("{} of {} players, {}", explainer.coalitions().size(),
                                 explainer.players().size(), to_string(explainer.coalitions().strategy))},
      {"model evaluations per value", std::to_string(all.values.evaluations())},
      {"replicates", std::to_string(all.values.replicates())},
      {"seed", std::to_string(session.seed())},
      {"settings hash", all.about.settings_hash}};
  out.provenance = {
      {"data", all.data.table.provenance().source},
      {"data hash", all.data.table.provenance().data_hash},
      {"rows", fmt::format("{}{}", n, all.data.part.empty() ? "" : " (" + all.data.part + ")")},
      {"background", fmt::format("{} ({} rows)", all.models.background_from, all.models.background.rows())}};
  for (const auto& [key, value] : all.models.about) out.provenance.emplace_back(key, value);
  out.provenance.emplace_back("emshap", version());
  out.warnings = all.about.warnings;
  if (out.rows() < n)
    out.warnings.push_back(
        fmt::format("this report shows {} of the {} rows, a random choice; all are in "
                    "attributions.csv",
                    out.rows(), n));
  report::AttributionReportOptions options;
  options.result_files = {"attributions.csv", "attributions.json", "coalitions.json"};
  report::Plotter plotter({}, session.sink());
  write_attribution_report(out, folder, &plotter, options, session.sink());
}

}  // namespace emshap::app
