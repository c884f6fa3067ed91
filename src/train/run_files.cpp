#include "train/run_files.h"

#include <fmt/format.h>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"

namespace emshap {

void note_skipped(const Provenance& provenance, Messages& messages) {
  for (const Skipped& s : provenance.skipped) {
    std::string text =
        fmt::format("{}: {} in {} place{}", provenance.source, s.reason, s.count, s.count == 1 ? "" : "s");
    if (!s.column.empty())
      text = fmt::format("{}: {} in column '{}', {} time{}", provenance.source, s.reason, s.column, s.count,
                         s.count == 1 ? "" : "s");
    messages.emplace_back(LogLevel::info, text);
  }
}

void add_new_file(RunDirectory& run, const char* model, const char* name, const std::string& content) {
  write_file_atomically(run.path(name), content);
  run.add_file(model, name);
}

void describe_data(RunModel& entry, const Table& table) {
  const Provenance& from = table.provenance();
  entry.data_path = from.source;
  entry.data_hash = from.data_hash;
  entry.data_rows = from.rows_read;
  entry.features = table.feature_names();
  if (const Column* group = table.only(ColumnRole::group)) entry.notes["group"] = group->name();
}

void check_same_data(const RunDirectory& run, const char* model, const Table& table) {
  const RunModel& entry = run.model(model);
  if (!entry.data_hash.empty() && entry.data_hash != table.provenance().data_hash)
    throw IoError(fmt::format("{} has other content (hash {}) than when the run {} was started (hash {})",
                              table.provenance().source, table.provenance().data_hash, run.folder().string(),
                              entry.data_hash));
}

}  // namespace emshap
