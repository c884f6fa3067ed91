#include "export_attribution.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/data/npy.h"
#include "emshap/explain/explainer.h"
#include "emshap/explain/players.h"
#include "emshap/io/attribution_onnx.h"
#include "emshap/io/cleaning_metadata.h"
#include "emshap/models/emshap_model.h"

namespace emshap::app {
namespace {

constexpr std::int64_t rows_to_test = 8;

/// 0: auto.
std::int64_t parse_budget(const std::string& text) {
  std::int64_t out = 0;
  if (text == "auto") return 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && out > 0 ? out : -1;
}

Coalitions choose_coalitions(const AttributionChoice& choice, const ValueFunction& values,
                             const ExplainModels& models, const Players& players, TeamPool& pool,
                             Session& session) {
  ExplainOptions options;
  if (choice.strategy != "auto") options.strategy = parse_coalition_strategy(choice.strategy);
  options.budget = parse_budget(choice.budget);
  options.tolerance = choice.tolerance;
  options.seed = session.seed();
  Explainer explainer(values, *models.f, players, models.background, options, pool);
  explainer.choose_coalitions(pool, models.background, session.sink(), &session.stop());
  return explainer.coalitions();
}

Tensor complete_rows(const Tensor& rows, std::int64_t most) {
  std::vector<float> values;
  const std::int64_t D = rows.cols();
  for (std::int64_t r = 0; r < rows.rows() && static_cast<std::int64_t>(values.size()) < most * D; ++r) {
    const float* row = rows.ptr<float>() + r * D;
    if (std::all_of(row, row + D, [](float v) { return std::isfinite(v); }))
      values.insert(values.end(), row, row + D);
  }
  return Tensor::from(values, {static_cast<std::int64_t>(values.size()) / D, D});
}

void write_test_rows(const std::filesystem::path& folder, const io::AttributionSettings& settings,
                     const Tensor& background, TeamPool& pool) {
  std::filesystem::create_directories(folder);
  const Tensor x = complete_rows(background, rows_to_test);
  const io::AttributionOutputs out = io::attribution_outputs(pool, settings, x);
  Tensor phi0({x.rows(), 1}, DType::f64);
  std::fill_n(phi0.ptr<double>(), x.rows(), out.phi0);
  write_npy(folder / "x.npy", x);
  write_npy(folder / "phi.npy", out.phi);
  write_npy(folder / "phi0.npy", phi0);
  write_npy(folder / "prediction.npy", out.prediction);
  write_npy(folder / "standard_error.npy", out.standard_error);
}

/// Background rows, some of them beyond the bounds that the file clips to.
Tensor beyond(const ExplainModels& models) {
  Tensor rows = models.background.clone();
  return models.cleaning.output_names() == models.columns ? io::rows_beyond(models.cleaning, std::move(rows))
                                                          : std::move(rows);
}

}  // namespace

void add_attribution_settings(Settings& s, AttributionChoice& o) {
  s.add("attribution", "predictor", o.models.model,
        "ONNX file of the model to explain, instead of the run's predictor; its operators must be those of "
        "ONNX's "
        "default domain");
  s.add("attribution", "emshap", o.models.emshap, "ONNX file of an EmSHAP model, instead of the run's");
  s.add("attribution", "output", o.models.output, "Output of the ONNX model, where it has several");
  s.add("attribution", "class-name", o.models.class_name, "Class of a classifier whose score is explained");
  s.add("attribution", "background", o.models.background,
        "Rows of the training data (CSV or .npy) over which the model is averaged; the run's when empty");
  s.add("attribution", "samples", o.drawn.draws, "Draws for each conditional expectation", at_least(1));
  s.add("attribution", "replicates", o.drawn.replicates,
        "Independent sets of draws, for standard errors; 1: the most accurate, without them", at_least(1));
  s.add("attribution", "orders", o.drawn.orders,
        "Orders in which unknown features are drawn; 0: 1 with the energy, else 4", at_least(0));
  s.add("attribution", "energy", o.models.energy,
        "Whether the energy's weights count; auto: as training decided", one_of({"auto", "on", "off"}));
  s.add("attribution", "strategy", o.strategy,
        "exact, kernel, leverage, permutation; auto: exact up to 1024 coalitions, else kernel",
        one_of({"auto", "exact", "kernel", "leverage", "permutation"}));
  s.add("attribution", "budget", o.budget,
        "Number of coalitions; auto: until standard errors are small on background rows",
        Check<std::string>([](const std::string& text) {
          return std::string(parse_budget(text) < 0 ? "auto or a number above 0" : "");
        }));
  s.add("attribution", "tolerance", o.tolerance,
        "Standard errors are small below this share of the spread of a row's attributions", more_than(0));
  add_player_settings(s, "attribution", o.players);
}

std::string export_attribution(const AttributionChoice& choice, const std::string& out,
                               const std::string& test_rows, Session& session) {
  TeamPool pool(session.threads());
  const ExplainModels models = load_explain_models(choice.models, true, session.sink());
  DrawnValueOptions drawn = choice.drawn;
  drawn.seed = session.seed();
  const std::unique_ptr<ValueFunction> values =
      drawn_values("emshap", models.density->space, *models.density->model, *models.f, drawn);
  const Players players =
      choose_players(choice.players, models.cleaning, values->columns(), values->modelled());
  const io::AttributionSettings settings{
      .emshap = *models.density,
      .f = *models.f,
      .write_f = models.write_f,
      .background = models.background,
      .players = players,
      .coalitions = choose_coalitions(choice, *values, models, players, pool, session),
      .draws = drawn};
  io::AttributionOnnxInfo info;
  info.target = models.target;
  info.target_unit = models.unit;
  for (const auto& [key, value] : models.about)
    if (key.ends_with("_hash")) info.more[key] = value;
  io::add_cleaning(models.cleaning, info.more);
  const Tensor rows = beyond(models);
  const double worst = io::export_attribution(pool, out, settings, info, rows);
  if (!test_rows.empty()) write_test_rows(test_rows, settings, rows, pool);
  return fmt::format("verified on background rows, largest deviation {:.1e} of a row's spread\n", worst);
}

}  // namespace emshap::app
