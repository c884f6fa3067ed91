#include "evaluate_models.h"

#include <algorithm>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/io/cleaning_metadata.h"
#include "emshap/io/emshap_onnx.h"
#include "emshap/io/power_onnx.h"
#include "emshap/models/emshap_model.h"
#include "emshap/train/power_model.h"
#include "emshap/train/run_cleaning.h"

namespace emshap::app {
namespace {

/// Whether the run has a finished model of this name; one still in training is named in a line. A run whose
/// only model is unfinished is left to the loader, which says so.
bool has_finished(const RunDirectory* run, const char* name, const char* other, ProgressSink& sink) {
  if (run == nullptr || !run->has(name)) return false;
  if (run->model(name).status == "finished") return true;
  if (!run->has(other)) return true;
  sink.log(LogLevel::warning,
           fmt::format("{}: the training of its {} model has not been finished; it is left out",
                       run->folder().string(), name));
  return false;
}

MeasuredPower power_of_run(const RunDirectory& run, TeamPool& pool) {
  auto model = std::make_shared<PowerModel>(load_power_model(run));
  const RunModel& entry = run.model(PowerFiles::model);
  const auto unit = entry.notes.find("unit");
  return {{{"kind", "run"}, {"source", run.folder().string()}, {"scaler_hash", model->scaler.hash()}},
          model->target,
          unit == entry.notes.end() ? "" : unit->second,
          model->scaler.features.input_names(),
          [model, &pool](ConstTensorView raw, TensorView y) { model->predict(pool, raw, y); },
          load_cleaning(run, PowerFiles::model)};
}

MeasuredPower power_of_onnx(const std::string& path, TeamPool& pool) {
  auto model = std::make_shared<io::OnnxPowerPredictor>(io::load_power_predictor(path));
  return {{{"kind", "onnx"}, {"source", path}, {"scaler_hash", model->preprocessor.hash()}},
          model->info.target,
          model->info.target_unit,
          model->preprocessor.features.input_names(),
          [model, &pool](ConstTensorView raw, TensorView y) {
            pool.run(raw.rows(), [&](Context& ctx, const ShardPlan& plan) {
              model->predict(ctx, raw.rows(plan.row_begin, plan.local_rows),
                             y.rows(plan.row_begin, plan.local_rows));
            });
          },
          io::read_cleaning(model->info.more, path)};
}

/// `power` on rows whose columns are `names`; nothing when it needs others.
report::Predict on_columns(const MeasuredPower& power, const std::vector<std::string>& names) {
  std::vector<std::int64_t> from;
  for (const std::string& feature : power.features) {
    const auto found = std::find(names.begin(), names.end(), feature);
    if (found == names.end()) return {};
    from.push_back(found - names.begin());
  }
  if (power.features == names) return power.predict;
  return [from, predict = power.predict](ConstTensorView raw, TensorView y) {
    const auto width = static_cast<std::int64_t>(from.size());
    Tensor x({raw.rows(), width});
    for (std::int64_t r = 0; r < raw.rows(); ++r)
      for (std::int64_t c = 0; c < width; ++c)
        x.ptr<float>()[r * width + c] =
            raw.ptr<float>()[r * raw.row_stride() + from[static_cast<std::size_t>(c)]];
    predict(x, y);
  };
}

void check_present(const Table& table, const std::vector<std::int64_t>& rows, const FeatureSpace& space) {
  for (const FeatureColumn& feature : space.columns()) {
    const Column& column = table.column(feature.name);
    if (feature.may_be_missing || column.missing() == 0) continue;
    for (const std::int64_t row : rows)
      if (!column.present(row))
        throw DataError(fmt::format(
            "{}: row {} (the first below the header is 0) has no {}, expected a number since no training row "
            "lacks it",
            table.provenance().source, table.source_row(row), feature.name));
  }
}

const std::vector<std::int64_t>* rows_of(const Parts& parts, const std::string& name) {
  for (const auto& [part, rows] : parts)
    if (part == name) return &rows;
  return nullptr;
}

}  // namespace

std::optional<MeasuredPower> find_power(const RunDirectory* run, const std::string& onnx, TeamPool& pool,
                                        ProgressSink& sink) {
  if (!onnx.empty()) return power_of_onnx(onnx, pool);
  if (has_finished(run, PowerFiles::model, EmshapFiles::model, sink)) return power_of_run(*run, pool);
  return std::nullopt;
}

std::optional<MeasuredDensity> find_density(const RunDirectory* run, const std::string& onnx,
                                            ProgressSink& sink) {
  if (onnx.empty() && !has_finished(run, EmshapFiles::model, PowerFiles::model, sink)) return std::nullopt;
  MeasuredDensity out;
  io::EmshapOnnxInfo info;
  out.fitted = onnx.empty() ? load_emshap(*run) : io::load_emshap_onnx(onnx, &info);
  out.cleaning = onnx.empty() ? load_cleaning(*run, EmshapFiles::model) : io::read_cleaning(info.more, onnx);
  out.about = {{"kind", onnx.empty() ? "run" : "onnx"},
               {"source", onnx.empty() ? run->folder().string() : onnx},
               {"proposal", out.fitted.proposal},
               {"transform", to_string(out.fitted.space.transform())},
               {"feature_space_hash", out.fitted.space.hash()}};
  return out;
}

void check_rows(const MeasuredDensity& density, const Table& table, const Parts& parts) {
  for (const auto& [name, rows] : parts) check_present(table, rows, density.fitted.space);
}

report::DensityEvaluation evaluate_density(const MeasuredDensity& density, const MeasuredPower* power,
                                           const Table& table, const Parts& parts,
                                           const report::DensityEvaluationOptions& options, TeamPool& pool,
                                           ProgressSink& sink) {
  const FeatureSpace& space = density.fitted.space;
  report::DensityData data;
  data.part = parts.back().first;
  data.rows = report::features_by_name(table, parts.back().second, space.input_names());
  if (const std::vector<std::int64_t>* train = rows_of(parts, "train"))
    data.train = report::features_by_name(table, *train, space.input_names());
  if (const std::vector<std::int64_t>* validation = rows_of(parts, "validation"))
    data.validation = report::features_by_name(table, *validation, space.input_names());
  if (const Column* group = table.only(ColumnRole::group)) {
    std::map<std::string, std::int64_t, std::less<>> number;
    for (const std::int64_t row : parts.back().second)
      data.cluster.push_back(
          number.try_emplace(std::string(group->text(row)), static_cast<std::int64_t>(number.size()))
              .first->second);
  }
  const report::Predict predict =
      power == nullptr ? report::Predict() : on_columns(*power, space.input_names());
  report::DensityEvaluation out =
      report::evaluate_density(space, *density.fitted.model, data, predict, options, pool, sink);
  if (power != nullptr && !predict)
    out.notes.push_back(
        "MSEv is left out: the predictor needs columns that the density model does not have.");
  out.model = density.about;
  return out;
}

}  // namespace emshap::app
