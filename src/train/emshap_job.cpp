// From a data source to data ready to be trained on.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/train/emshap.h"
#include "train/clean_table.h"
#include "train/run_files.h"

namespace emshap {
namespace {

constexpr const char* choices[] = {"gru", "mlp", "auto"};

const char* plural(std::int64_t count) {
  return count == 1 ? "" : "s";
}

/// Leaves out rows without any value; returns how many.
std::int64_t drop_empty_rows(const Table& table, std::vector<std::int64_t>& rows) {
  const Tensor raw = raw_features(table, rows);
  std::vector<std::int64_t> kept;
  for (std::int64_t i = 0; i < raw.rows(); ++i) {
    bool any = false;
    for (std::int64_t c = 0; c < raw.cols(); ++c) any |= !std::isnan(raw.ptr<float>()[i * raw.cols() + c]);
    if (any) kept.push_back(rows[static_cast<std::size_t>(i)]);
  }
  const auto dropped = static_cast<std::int64_t>(rows.size() - kept.size());
  rows = std::move(kept);
  return dropped;
}

/// Leaves out rows that the model cannot take: without a value in any of its features (they may have one in a
/// constant column), or lacking a value that no training row lacks. Returns how many of the first kind.
std::int64_t drop_unusable(EmshapJob& job, const char* part, std::vector<std::int64_t>& rows) {
  const Tensor raw = raw_features(job.table, rows);
  const std::vector<std::string>& inputs = job.space.input_names();
  std::vector<const FeatureColumn*> columns;
  for (const std::string& name : inputs) {
    const auto& all = job.space.columns();
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const FeatureColumn& c) { return c.name == name; });
    columns.push_back(found == all.end() ? nullptr : &*found);
  }
  std::vector<std::int64_t> kept, lacking(inputs.size(), 0);
  std::int64_t empty = 0;
  for (std::int64_t i = 0; i < raw.rows(); ++i) {
    bool any = false, good = true;
    for (std::size_t c = 0; c < inputs.size(); ++c) {
      if (columns[c] == nullptr) continue;
      const bool there = !std::isnan(raw.ptr<float>()[i * raw.cols() + static_cast<std::int64_t>(c)]);
      any |= there;
      if (!there && !columns[c]->may_be_missing) {
        good = false;
        ++lacking[c];
      }
    }
    if (!any)
      ++empty;
    else if (good)
      kept.push_back(rows[static_cast<std::size_t>(i)]);
  }
  for (std::size_t c = 0; c < inputs.size(); ++c)
    if (lacking[c] > 0)
      job.messages.emplace_back(
          LogLevel::warning,
          fmt::format("{}: {} {} row{} without '{}', which every training row has, {} left out",
                      job.table.provenance().source, lacking[c], part, plural(lacking[c]), inputs[c],
                      lacking[c] == 1 ? "is" : "are"));
  rows = std::move(kept);
  return empty;
}

StageOptions stage_defaults() {
  StageOptions s;
  s.epochs = 0;
  s.batch_size = 128;
  s.schedule.kind = ScheduleKind::cosine;
  s.schedule.floor = .02;
  s.schedule.warmup_steps = 50;
  s.clip_norm = 5;
  s.ema_decay = .99;
  s.early_stopping.patience = 10;
  return s;
}

}  // namespace

ProposalChoice parse_proposal_choice(const std::string& name) {
  for (std::size_t i = 0; i < std::size(choices); ++i)
    if (name == choices[i]) return static_cast<ProposalChoice>(i);
  throw ConfigError(fmt::format("proposal is '{}', expected gru, mlp or auto", name));
}

const char* to_string(ProposalChoice choice) {
  return choices[static_cast<std::size_t>(choice)];
}

EmshapOptions::EmshapOptions() : training(stage_defaults()), energy_training(stage_defaults()) {
  training.adam.learning_rate = 0;
  energy_training.adam.learning_rate = 1e-3;
}

std::int64_t default_steps(std::int64_t rows) {
  return std::clamp<std::int64_t>(300 * ((rows + 127) / 128), 10000, 60000);
}

EmshapJob prepare_emshap(Source& source, const EmshapOptions& options,
                         const std::filesystem::path& split_file,
                         const std::filesystem::path& fitted_cleaning) {
  EmshapJob job;
  job.options = options;
  job.options.split.seed = options.seed;
  job.table = read_all(source, {.target = MissingTarget::drop, .feature = MissingFeature::keep});
  note_skipped(job.table.provenance(), job.messages);
  std::string by;
  if (split_file.empty()) {
    job.split = make_split(job.table, job.options.split);
    by = to_string(job.split.mode);
  } else {
    job.split = read_split(split_file, job.table);
    by = split_file.string();
  }
  TableCleaning cleaned = clean_table(job.table, job.split, options.cleaning, fitted_cleaning, job.messages);
  job.cleaning = std::move(cleaned.cleaning);
  job.cleaned = std::move(cleaned.report);
  const auto total = [&] { return job.train.size() + job.validation.size() + job.test.size(); };
  job.train = std::move(cleaned.training);
  job.validation = job.split.validation;
  job.test = job.split.test;
  std::int64_t empty = 0;
  for (auto* rows : {&job.train, &job.validation, &job.test}) empty += drop_empty_rows(job.table, *rows);
  if (job.train.empty())
    throw DataError(
        fmt::format("{}: none of the {} training rows has a value", source.name(), job.split.train.size()));
  job.space = FeatureSpace::fit(job.table, job.train, job.validation, options.space);
  if (!job.cleaning.empty()) job.space.clip_inputs(job.cleaning.low(), job.cleaning.high());
  empty += drop_unusable(job, "training", job.train);
  empty += drop_unusable(job, "validation", job.validation);
  empty += drop_unusable(job, "test", job.test);
  if (empty > 0)
    job.messages.emplace_back(LogLevel::warning,
                              fmt::format("{}: {} row{} without any value {} left out", source.name(), empty,
                                          plural(empty), empty == 1 ? "is" : "are"));
  for (const std::string& text : job.space.notes()) job.messages.emplace_back(LogLevel::info, text);
  job.messages.emplace_back(
      LogLevel::info,
      fmt::format("{}: {} rows, {} features; {} training, {} validation and {} test rows by {}",
                  source.name(), total(), job.space.features(), job.train.size(), job.validation.size(),
                  job.test.size(), by));
  return job;
}

}  // namespace emshap
