#include "emshap/train/power.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "emshap/core/error.h"
#include "emshap/data/npy.h"
#include "emshap/train/checkpoint.h"
#include "train/clean_table.h"
#include "train/power_task.h"
#include "train/run_files.h"

namespace emshap {
namespace {

using Json = nlohmann::ordered_json;

PowerPart measure(const PowerJob& job, const PowerModel& model, TeamPool& pool, const char* name,
                  const std::vector<std::int64_t>& rows) {
  PowerPart part;
  part.name = name;
  part.rows = rows;
  const Tensor actual = raw_target(job.table, rows);
  const Tensor predicted = model.predict(pool, job.table, rows);
  part.actual.assign(actual.ptr<float>(), actual.ptr<float>() + rows.size());
  part.predicted.assign(predicted.ptr<float>(), predicted.ptr<float>() + rows.size());
  part.metrics = regression_metrics(part.predicted, part.actual);
  return part;
}

std::string metrics_json(const PowerJob& job, const PowerResult& result) {
  Json j;
  j["target"] = job.target;
  for (const PowerPart& part : result.parts) j[part.name] = Json::parse(part.metrics.to_json());
  j["training"] = {{"epochs", result.training.epochs},
                   {"steps", result.training.steps},
                   {"best_epoch", result.training.best_epoch},
                   {"stopped_early", result.training.stopped_early},
                   {"parameters", result.model.network->store().parameter_count()},
                   {"features", job.scaler.features.inputs()},
                   {"seed", job.options.seed}};
  if (std::isfinite(result.training.best_validation_loss))
    j["training"]["best_validation_loss"] = result.training.best_validation_loss;
  if (!job.cleaning.empty()) j["cleaning"] = Json::parse(cleaning_metrics(job.cleaning, job.cleaned));
  return j.dump(2) + "\n";
}

std::string predictions_csv(const PowerJob& job, const PowerPart& part) {
  std::string out = "row,actual,predicted\n";
  for (std::size_t i = 0; i < part.rows.size(); ++i)
    out += fmt::format("{},{},{}\n", job.table.source_row(part.rows[i]), part.actual[i], part.predicted[i]);
  return out;
}

/// What is known before training.
void write_inputs(const PowerJob& job, RunDirectory& run, const std::string& config) {
  RunModel& entry = run.edit(PowerFiles::model);
  entry.seed = job.options.seed;
  entry.target = job.target;
  describe_data(entry, job.table);
  save_cleaning(run, PowerFiles::model, job.cleaning);
  job.scaler.save(run.path(PowerFiles::scaler));
  write_split(run.path(PowerFiles::split), job.split, job.table);
  const auto background = background_rows(job.training, job.options.background, job.options.seed);
  write_npy(run.path(PowerFiles::background), raw_features(job.table, background));
  for (const char* name : {PowerFiles::scaler, PowerFiles::split, PowerFiles::background})
    run.add_file(PowerFiles::model, name);
  add_new_file(run, PowerFiles::model, PowerFiles::config, config);
  run.save();
}

}  // namespace

// Chosen by trials on compactiv and specpower; bench/accuracy/power.py measures what they give.
PowerOptions::PowerOptions() {
  network.dropout = .1;
  network.members = 4;
  training.epochs = 120;
  training.batch_size = 64;
  training.adam.learning_rate = 1e-3;
  training.adam.weight_decay = 1e-4;
  training.schedule.kind = ScheduleKind::cosine;
  training.schedule.floor = .01;
  training.early_stopping.patience = 30;
}

PowerJob prepare_power(Source& source, const PowerOptions& options, const std::filesystem::path& split_file,
                       const std::filesystem::path& fitted_cleaning) {
  if (options.cleaning.fill == FillMissing::forward && options.missing.feature == MissingFeature::drop)
    throw ConfigError(
        "rows with missing features cannot be both dropped and filled; choose --missing drop or "
        "--fill-missing forward");
  PowerJob job;
  job.options = options;
  job.options.split.seed = options.seed;
  job.options.network.seed = options.seed;
  job.table = read_all(source, options.missing);
  const Column* target = job.table.only(ColumnRole::target);
  if (target == nullptr) throw ConfigError(fmt::format("{}: no target column was chosen", source.name()));
  job.target = target->name();
  note_skipped(job.table.provenance(), job.messages);
  job.split =
      split_file.empty() ? make_split(job.table, job.options.split) : read_split(split_file, job.table);
  TableCleaning cleaned = clean_table(job.table, job.split, options.cleaning, fitted_cleaning, job.messages);
  job.training = std::move(cleaned.training);
  job.cleaning = std::move(cleaned.cleaning);
  job.cleaned = std::move(cleaned.report);
  job.scaler = Preprocessor::fit(job.table, job.training, true, true, options.bins);
  if (!job.cleaning.empty()) job.scaler.features.clip_inputs(job.cleaning.low(), job.cleaning.high());
  for (const std::string& text : job.scaler.warnings()) job.messages.emplace_back(LogLevel::warning, text);
  job.options.network.features = job.scaler.features.outputs();
  job.messages.emplace_back(
      LogLevel::info,
      fmt::format("{}: {} rows, {} features, target {}; {} training, {} validation and {} test rows by {}",
                  source.name(), job.table.rows(), job.scaler.features.inputs(), job.target,
                  job.training.size(), job.split.validation.size(), job.split.test.size(),
                  to_string(job.split.mode)));
  return job;
}

PowerResult train_power(const PowerJob& job, TeamPool& pool, RunDirectory* run, bool resume,
                        const std::string& config_toml, ProgressSink& sink, const StopToken* stop) {
  for (const auto& [level, text] : job.messages) sink.log(level, text);
  if (run != nullptr && resume) check_same_data(*run, PowerFiles::model, job.table);
  PowerResult result;
  result.model.scaler = job.scaler;
  result.model.target = job.target;
  result.model.network = std::make_unique<PowerPredictor>(job.options.network, DType::f32, pool.device());
  {
    PowerTask task(*result.model.network, power_rows(job.scaler, job.table, job.training),
                   power_rows(job.scaler, job.table, job.split.validation),
                   final_encoding(job.scaler.features), job.options.loss, job.options.huber_delta);
    StageOptions stage = job.options.training;
    const auto batches = BatchPlan::make(task.training_rows(), stage.batch_size).count;
    stage.schedule.warmup_steps = std::llround(job.options.warmup_epochs * static_cast<double>(batches));
    Trainer trainer(pool, job.options.seed, sink, stop);
    trainer.add_stage(PowerFiles::model, task, stage);
    if (run != nullptr)
      trainer.set_checkpoint(run->path(PowerFiles::checkpoint),
                             power_architecture(job.options.network, job.scaler.hash()), config_toml,
                             job.options.checkpoint_seconds);
    if (resume) trainer.resume();
    if (run != nullptr) {
      // Only now: a resume that was refused must leave the run as it was.
      std::error_code ignored;  // a checkpoint of what is overwritten must not be resumed as this run's
      if (!resume) std::filesystem::remove(run->path(PowerFiles::checkpoint), ignored);
      write_inputs(job, *run, config_toml);
      if (!resume) trainer.save();  // from now on, a run that is killed can be resumed
    }
    trainer.run();
    result.history = trainer.history();
    result.training = trainer.results().front();
  }
  for (const auto& [name, rows] :
       {std::pair{"train", &job.training}, std::pair{"validation", &job.split.validation},
        std::pair{"test", &job.split.test}})
    if (!rows->empty()) result.parts.push_back(measure(job, result.model, pool, name, *rows));
  if (run != nullptr) {
    run->add_file(PowerFiles::model, PowerFiles::checkpoint);
    add_new_file(*run, PowerFiles::model, PowerFiles::history, result.history.csv());
    add_new_file(*run, PowerFiles::model, PowerFiles::metrics, metrics_json(job, result));
    for (const PowerPart& part : result.parts)
      if (part.name == "test")
        add_new_file(*run, PowerFiles::model, PowerFiles::predictions, predictions_csv(job, part));
    run->save();
  }
  return result;
}

void finish_power(RunDirectory& run, const std::vector<std::string>& files) {
  for (const std::string& name : files) run.add_file(PowerFiles::model, name);
  run.edit(PowerFiles::model).status = "finished";
  run.save();
}

}  // namespace emshap
