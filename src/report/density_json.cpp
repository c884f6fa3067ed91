#include <cmath>

#include <nlohmann/json.hpp>

#include "emshap/report/density_evaluation.h"

namespace emshap::report {
namespace {

using Json = nlohmann::ordered_json;

/// NaN and infinity become null.
Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

Json estimate_json(const Estimate& e) {
  return {{"value", number(e.value)}, {"standard_error", number(e.standard_error)}};
}

Json summary_json(const Summary& s) {
  return {
      {"mean", number(s.mean())}, {"sd", number(s.sd())}, {"min", number(s.min())}, {"max", number(s.max())}};
}

Summary summary_of(const std::vector<double>& values) {
  Summary out;
  for (const double v : values) out.add(v);
  return out;
}

Json coverage_json(const std::array<double, 3>& coverage) {
  return {{"50", number(coverage[0])}, {"80", number(coverage[1])}, {"95", number(coverage[2])}};
}

Json sizes_json(const std::vector<SizeScore>& sizes, bool crps) {
  Json out = Json::array();
  for (const SizeScore& s : sizes) {
    out.push_back({{"known", s.size},
                   {"pairs", s.pairs},
                   {"targets", s.targets},
                   {"log_likelihood", number(s.log_likelihood.value)},
                   {"log_likelihood_se", number(s.log_likelihood.standard_error)}});
    if (crps) out.back()["crps"] = number(s.crps);
  }
  return out;
}

Json method_json(const ConditionalScores& m, bool details) {
  Json j = {{"log_likelihood", number(m.log_likelihood.value)},
            {"log_likelihood_se", number(m.log_likelihood.standard_error)},
            {"crps", number(m.crps.value)},
            {"crps_se", number(m.crps.standard_error)},
            {"nrmse", number(m.nrmse)},
            {"coverage", coverage_json(m.coverage)}};
  j["by_size"] = sizes_json(m.by_size, true);
  for (const FeatureScore& f : m.features) {
    Json& feature = j["features"][f.name];
    feature = {{"targets", f.targets},
               {"log_likelihood", number(f.log_likelihood)},
               {"crps", number(f.crps)},
               {"nrmse", number(f.nrmse)},
               {"coverage", coverage_json(f.coverage)},
               {"pit", summary_json(f.pit)}};
    if (!details) continue;
    feature["proposal_mean"] = summary_json(f.mean);
    feature["proposal_variance"] = summary_json(f.variance);
  }
  if (details) {
    j["context"] = summary_json(m.context);
    j["context"]["width"] = m.context_width;
    j["context"]["constant_units"] = m.constant_context;
  }
  return j;
}

Json energy_json(const EnergyScores& e) {
  Json j = {{"pairs", e.pairs}, {"targets", e.targets}, {"draws", e.draws}, {"used", e.used}};
  j["log_likelihood"] = estimate_json(e.full);
  j["log_likelihood_of_proposal"] = estimate_json(e.proposal);
  j["gain"] = estimate_json(e.gain);
  j["by_size"] = sizes_json(e.by_size, false);
  j["effective_sample_size"] = summary_json(e.effective);
  j["log_z"] = summary_json(e.log_z);
  j["log_z_standard_error"] = summary_json(e.log_z_error);
  j["of_data"] = summary_json(summary_of(e.data));
  j["of_draws"] = summary_json(summary_of(e.drawn));
  return j;
}

Json values_json(const DensityEvaluation& evaluation) {
  Json j = {{"pairs", evaluation.values.front().pairs},
            {"draws", evaluation.values.front().draws},
            {"prediction_variance", number(evaluation.value_variance)}};
  for (const ValueScores& v : evaluation.values)
    j["methods"][v.method] = {{"msev", number(v.msev.value)},
                              {"msev_se", number(v.msev.standard_error)},
                              {"clamped", number(v.clamped)},
                              {"effective_sample_size", number(v.effective.mean())}};
  return j;
}

}  // namespace

std::string density_json(const DensityEvaluation& evaluation) {
  Json j;
  for (const auto& [key, value] : evaluation.model) j["model"][key] = value;
  j["part"] = evaluation.part;
  j["rows"] = evaluation.rows;
  if (evaluation.clusters > 0) j["groups"] = evaluation.clusters;
  j["seed"] = evaluation.options.seed;
  if (!evaluation.methods.empty()) {
    const ConditionalScores& ours = evaluation.methods.front();
    j["pairs"] = ours.pairs;
    j["targets"] = ours.targets;
    // What the quality gate reads.
    j["log_likelihood"] = number(ours.log_likelihood.value);
    j["crps"] = number(ours.crps.value);
    j["nrmse"] = number(ours.nrmse);
  }
  if (!evaluation.values.empty()) j["msev"] = number(evaluation.values.front().msev.value);
  for (std::size_t i = 0; i < evaluation.methods.size(); ++i)
    j["methods"][evaluation.methods[i].method] = method_json(evaluation.methods[i], i == 0);
  if (evaluation.energy) j["energy"] = energy_json(*evaluation.energy);
  if (!evaluation.values.empty()) j["values"] = values_json(evaluation);
  for (const DensityComparison& c : evaluation.comparisons)
    j["difference_to"][c.baseline] = {{"log_likelihood", estimate_json(c.log_likelihood)},
                                      {"crps", estimate_json(c.crps)},
                                      {"msev", estimate_json(c.msev)}};
  if (!evaluation.notes.empty()) j["notes"] = evaluation.notes;
  return j.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace emshap::report
