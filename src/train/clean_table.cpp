#include "train/clean_table.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/train/run_cleaning.h"

namespace emshap {
namespace {

constexpr const char* note = "cleaning";  // in the manifest: the hash

Cleaning read_cleaning(const std::filesystem::path& file) {
  try {
    return Cleaning::from_json(read_file(file));
  } catch (const IoError& e) {
    throw IoError(fmt::format("{}: {}", file.string(), e.what()));
  }
}

const char* plural(std::int64_t count) {
  return count == 1 ? "" : "s";
}

/// Rows split at random have lost their neighbours to other parts, where later rows have theirs.
void check_split(const CleaningOptions& options, const Split& split, const std::string& source,
                 Messages& messages) {
  if (split.mode != SplitMode::row) return;
  if (!options.lags.empty() || options.rolling > 0)
    throw ConfigError(
        fmt::format("{}: lags and rolling statistics need a split by time or group, as nothing may cross the "
                    "split and one by row cuts rows off from those before them",
                    source));
  if (options.fill == FillMissing::forward)
    messages.emplace_back(LogLevel::warning,
                          fmt::format("{}: rows split at random are filled from rows of their own part, "
                                      "which lie further away; a split by time or group keeps neighbours",
                                      source));
}

constexpr double many = .05;  // of a column's rows: where a normal column has 0.007 outside of 1.5 IQR

void tell(const Cleaning& cleaning, const CleaningReport& report, std::int64_t rows,
          const std::string& source, Messages& messages) {
  for (std::size_t i = 0; i < report.columns.size(); ++i) {
    const CleaningReport::Column& c = report.columns[i];
    const double share =
        static_cast<double>(c.clipped) / static_cast<double>(std::max<std::int64_t>(1, rows));
    std::string text;
    if (c.clipped > 0)
      text = fmt::format("{} value{} clipped to [{:.6g}, {:.6g}]{}", c.clipped, plural(c.clipped),
                         cleaning.low()[i], cleaning.high()[i],
                         share > many ? ", too many to be outliers: raise --iqr-factor or leave them" : "");
    if (c.filled > 0)
      text +=
          fmt::format("{}{} missing value{} filled", text.empty() ? "" : ", ", c.filled, plural(c.filled));
    if (!text.empty())
      messages.emplace_back(share > many ? LogLevel::warning : LogLevel::info,
                            fmt::format("{}: column '{}': {}", source, c.name, text));
  }
  if (report.dropped_rows > 0)
    messages.emplace_back(LogLevel::info, fmt::format("{}: {} training row{} with outliers left out", source,
                                                      report.dropped_rows, plural(report.dropped_rows)));
  if (cleaning.output_names().size() > cleaning.input_names().size())
    messages.emplace_back(LogLevel::info,
                          fmt::format("{}: {} features derived from {}", source,
                                      cleaning.output_names().size() - cleaning.input_names().size(),
                                      cleaning.input_names().size()));
}

}  // namespace

TableCleaning clean_table(Table& table, const Split& split, const CleaningOptions& options,
                          const std::filesystem::path& fitted, Messages& messages) {
  const std::string& source = table.provenance().source;
  TableCleaning out;
  if (fitted.empty()) {
    check_split(options, split, source, messages);
    out.cleaning = Cleaning::fit(options, table, split.train);
  } else {
    out.cleaning = read_cleaning(fitted);
    if (out.cleaning.options() != options)
      throw ConfigError(
          fmt::format("{} cleans the data differently than asked for; both models of a run use the same "
                      "cleaning",
                      fitted.string()));
  }
  out.training = out.cleaning.kept(table, split.train);
  if (out.cleaning.empty()) return out;
  if (out.training.empty())
    throw DataError(
        fmt::format("{}: none of the {} training rows is left without outliers", source, split.train.size()));
  Table cleaned = out.cleaning.apply(table, parts_of(split, table.rows()), &out.report);
  out.report.dropped_rows = static_cast<std::int64_t>(split.train.size() - out.training.size());
  tell(out.cleaning, out.report, table.rows(), source, messages);
  table = std::move(cleaned);
  return out;
}

void save_cleaning(RunDirectory& run, const char* model, const Cleaning& cleaning) {
  RunModel& entry = run.edit(model);
  entry.notes.erase(note);
  if (cleaning.empty()) return;
  entry.features = cleaning.input_names();
  entry.notes[note] = cleaning.hash();
  add_new_file(run, model, cleaning_file, cleaning.to_json());
}

std::string cleaning_metrics(const Cleaning& cleaning, const CleaningReport& report) {
  nlohmann::ordered_json j = {{"hash", cleaning.hash()}, {"dropped_rows", report.dropped_rows}};
  j["clipped"] = j["filled"] = nlohmann::ordered_json::object();
  for (const CleaningReport::Column& c : report.columns) {
    if (c.clipped > 0) j["clipped"][c.name] = c.clipped;
    if (c.filled > 0) j["filled"][c.name] = c.filled;
  }
  return j.dump();
}

Cleaning load_cleaning(const RunDirectory& run, const std::string& model) {
  const RunModel& entry = run.model(model);
  const auto hash = entry.notes.find(note);
  if (hash == entry.notes.end()) return {};
  Cleaning cleaning = read_cleaning(run.verified(cleaning_file));
  if (cleaning.hash() != hash->second)
    throw IoError(fmt::format("{}: the file has hash {}, but the {} model was trained with the cleaning {}",
                              run.path(cleaning_file).string(), cleaning.hash(), model, hash->second));
  return cleaning;
}

}  // namespace emshap
