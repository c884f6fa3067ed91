#include "emshap/report/evaluation.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "emshap/core/version.h"
#include "emshap/report/density_evaluation.h"
#include "emshap/report/power_plots.h"
#include "emshap/report/text_table.h"

namespace emshap::report {
namespace {

using Json = nlohmann::ordered_json;
constexpr std::size_t block_rows = 65536;  // raw copies of a large table are made in blocks

EvaluatedPart measure(const Table& table, const std::string& name, const std::vector<std::int64_t>& rows,
                      const Predict& predict, const std::vector<std::string>& features) {
  EvaluatedPart part{name, rows, {}, std::vector<float>(rows.size()), {}};
  const Tensor actual = raw_target(table, rows);
  part.actual.assign(actual.ptr<float>(), actual.ptr<float>() + rows.size());
  for (std::size_t begin = 0; begin < rows.size(); begin += block_rows) {
    const auto some = std::span(rows).subspan(begin, std::min(block_rows, rows.size() - begin));
    const auto count = static_cast<std::int64_t>(some.size());
    predict(features_by_name(table, some, features),
            TensorView(part.predicted.data() + begin, {count, 1}, DType::f32));
  }
  part.metrics = regression_metrics(part.predicted, part.actual);
  return part;
}

PermutationImportance importance_of(const Table& table, const EvaluatedPart& part, const Predict& predict,
                                    const EvaluationOptions& options) {
  // A seeded sample of the rows, in table order.
  const auto order =
      permutation({options.seed, RandomPurpose::shuffle, 0, 0}, static_cast<std::int64_t>(part.rows.size()));
  const auto count = std::min(options.importance_rows, static_cast<std::int64_t>(order.size()));
  std::vector<std::int64_t> places(order.begin(), order.begin() + count), rows;
  std::sort(places.begin(), places.end());
  std::vector<float> actual, before;
  for (const std::int64_t at : places) {
    rows.push_back(part.rows[static_cast<std::size_t>(at)]);
    actual.push_back(part.actual[static_cast<std::size_t>(at)]);
    before.push_back(part.predicted[static_cast<std::size_t>(at)]);
  }
  const double rmse = regression_metrics(before, actual).rmse;
  PermutationImportance out{part.name, count, {}};
  Tensor raw = features_by_name(table, rows, options.features);
  const std::int64_t features = raw.cols();
  std::vector<float> column(rows.size()), after(rows.size());
  for (std::int64_t f = 0; f < features; ++f) {
    float* x = raw.ptr<float>() + f;
    for (std::int64_t r = 0; r < count; ++r) column[static_cast<std::size_t>(r)] = x[r * features];
    const auto shuffled =
        permutation({options.seed, RandomPurpose::shuffle, 0, static_cast<std::uint64_t>(f) + 1}, count);
    for (std::int64_t r = 0; r < count; ++r)
      x[r * features] = column[static_cast<std::size_t>(shuffled[static_cast<std::size_t>(r)])];
    predict(raw, TensorView(after.data(), {count, 1}, DType::f32));
    for (std::int64_t r = 0; r < count; ++r) x[r * features] = column[static_cast<std::size_t>(r)];
    out.increase.emplace_back(options.features[static_cast<std::size_t>(f)],
                              regression_metrics(after, actual).rmse - rmse);
  }
  return out;
}

std::string predictions_csv(const Evaluation& evaluation, const Table& table) {
  std::string out = "row,part,actual,predicted\n";
  for (const EvaluatedPart& part : evaluation.parts)
    for (std::size_t i = 0; i < part.rows.size(); ++i)
      out += fmt::format("{},{},{},{}\n", table.source_row(part.rows[i]), part.name, part.actual[i],
                         part.predicted[i]);
  return out;
}

}  // namespace

Tensor features_by_name(const Table& table, std::span<const std::int64_t> rows,
                        const std::vector<std::string>& names) {
  const auto count = static_cast<std::int64_t>(rows.size()),
             features = static_cast<std::int64_t>(names.size());
  Tensor out({count, features});
  for (std::int64_t f = 0; f < features; ++f) {
    const Column& column = table.column(names[static_cast<std::size_t>(f)]);
    if (column.type() != ColumnType::f32)
      throw DataError(
          fmt::format("{}: column '{}' holds {}, expected numbers, as it is a feature of the model",
                      table.provenance().source, column.name(), to_string(column.type())));
    const std::span<const float> values = column.f32();
    float* to = out.ptr<float>() + f;
    for (std::int64_t r = 0; r < count; ++r)
      to[r * features] = values[static_cast<std::size_t>(rows[static_cast<std::size_t>(r)])];
  }
  return out;
}

Evaluation evaluate(const Table& table,
                    const std::vector<std::pair<std::string, std::vector<std::int64_t>>>& parts,
                    const Predict& predict, const EvaluationOptions& options, ProgressSink& sink) {
  Evaluation out;
  if (const Column* target = table.only(ColumnRole::target)) out.target = target->name();
  for (const auto& [name, rows] : parts) {
    if (rows.empty()) continue;
    out.parts.push_back(measure(table, name, rows, predict, options.features));
    sink.progress({"evaluating",
                   static_cast<std::int64_t>(out.parts.size()),
                   static_cast<std::int64_t>(parts.size()),
                   "part",
                   {{"RMSE", out.parts.back().metrics.rmse}}});
  }
  if (out.parts.empty())
    throw DataError(fmt::format("{}: there is no row to evaluate", table.provenance().source));
  if (options.importance_rows > 0) out.importance = importance_of(table, out.parts.back(), predict, options);
  return out;
}

std::string metrics_table(const std::vector<std::pair<std::string, RegressionMetrics>>& parts) {
  TextTable table({{"part", Align::left}, {"rows"}, {"RMSE"}, {"MAE"}, {"R2"}, {"MAPE %"}});
  std::string note;
  for (const auto& [name, m] : parts) {
    table.add_row({name, std::to_string(m.rows), format_number(m.rmse), format_number(m.mae),
                   std::isnan(m.r2) ? "nan" : fmt::format("{:.5f}", m.r2), format_number(100 * m.mape)});
    if (m.zero_targets > 0)
      note += fmt::format("MAPE of {} leaves out {} rows whose target is 0.\n", name, m.zero_targets);
  }
  return table.str() + note;
}

std::string evaluation_json(const Evaluation& evaluation, const Table& table,
                            const DensityEvaluation* density) {
  Json j;
  for (const auto& [key, value] : evaluation.model) j["model"][key] = value;
  const Provenance& from = table.provenance();
  j["data"] = {{"path", from.source}, {"rows", from.rows_read}, {"hash", from.data_hash}};
  if (!evaluation.parts.empty()) j["target"] = evaluation.target;
  if (!evaluation.unit.empty()) j["unit"] = evaluation.unit;
  for (const EvaluatedPart& part : evaluation.parts) j[part.name] = Json::parse(part.metrics.to_json());
  if (!evaluation.importance.increase.empty()) {
    Json& importance = j["permutation_importance"];
    importance = {{"part", evaluation.importance.part}, {"rows", evaluation.importance.rows}};
    for (const auto& [feature, increase] : evaluation.importance.increase)
      importance["rmse_increase"][feature] = increase;
  }
  if (density != nullptr) j["density"] = Json::parse(density_json(*density));
  j["version"] = version();
  return j.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::vector<std::filesystem::path> write_evaluation(const Evaluation& evaluation, const Table& table,
                                                    const std::filesystem::path& folder, Plotter* plotter,
                                                    const DensityEvaluation* density) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    throw IoError(fmt::format("folder {} could not be created: {}", folder.string(), error.message()),
                  ErrorKind::environment);
  write_file_atomically(folder / "metrics.json", evaluation_json(evaluation, table, density));
  std::vector<std::filesystem::path> files{folder / "metrics.json"};
  if (!evaluation.parts.empty()) {
    write_file_atomically(folder / "predictions.csv", predictions_csv(evaluation, table));
    files.push_back(folder / "predictions.csv");
  }
  if (plotter == nullptr) return files;
  if (density != nullptr)
    for (auto& file : write_density_plots(*plotter, folder / "plots", *density))
      files.push_back(std::move(file));
  if (evaluation.parts.empty()) return files;
  const EvaluatedPart& last = evaluation.parts.back();
  const std::string label = evaluation.unit.empty()
                                ? evaluation.target
                                : fmt::format("{} ({})", evaluation.target, evaluation.unit);
  for (auto& file : write_power_plots(*plotter, folder / "plots", label, {},
                                      {{last.name,
                                        {last.actual.begin(), last.actual.end()},
                                        {last.predicted.begin(), last.predicted.end()}}}))
    files.push_back(std::move(file));
  if (!evaluation.importance.increase.empty()) {
    std::vector<std::string> names;
    std::vector<double> values;
    for (const auto& [name, value] : evaluation.importance.increase) {
      names.push_back(name);
      values.push_back(value);
    }
    Chart chart = feature_bars("Permutation importance", "increase of the RMSE of " + label, names, values);
    if (chart.note.empty())
      chart.note = fmt::format("one feature shuffled at a time, {} {} rows; correlated features share",
                               evaluation.importance.rows, last.name);
    const auto file = folder / "plots" / "importance.svg";
    if (plotter->write(chart, file)) files.push_back(file);
  }
  return files;
}

}  // namespace emshap::report
