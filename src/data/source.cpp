#include "emshap/data/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "emshap/core/error.h"

namespace emshap {
namespace {

// Where row `r` of a chunk stands, for messages and for Skipped::places.
std::int64_t place(const Chunk& chunk, std::int64_t r) {
  return chunk.lines.empty() ? chunk.first_row + r : chunk.lines[static_cast<std::size_t>(r)];
}

}  // namespace

MissingFeature parse_missing_feature(const std::string& text) {
  if (text == "mean") return MissingFeature::keep;
  if (text == "drop") return MissingFeature::drop;
  throw ConfigError(fmt::format("policy for missing values '{}' is not known, expected mean or drop", text));
}

Table read_all(Source& source, const RowPolicy& policy) {
  Table table(source.schema());
  Buffer<std::int64_t> source_rows;
  std::vector<std::int64_t> keep;
  Chunk chunk;
  Provenance dropped;
  bool any_dropped = false;
  while (source.next(chunk)) {
    const std::int64_t rows = chunk.table.rows();
    keep.clear();
    const auto features = chunk.table.with_role(ColumnRole::feature);
    const Column* target = chunk.table.only(ColumnRole::target);
    for (std::int64_t r = 0; r < rows; ++r) {
      if (target != nullptr && !target->present(r)) {
        if (policy.target == MissingTarget::error)
          throw DataError(fmt::format(
              "{} {} {}, column '{}': the target is missing, expected a number; rows without "
              "target can be dropped by option",
              source.name(), chunk.lines.empty() ? "row" : "line", place(chunk, r), target->name()));
        dropped.skip("missing target", target->name(), place(chunk, r));
        continue;
      }
      if (policy.feature == MissingFeature::drop) {
        const auto missing =
            std::find_if(features.begin(), features.end(), [&](const Column* c) { return !c->present(r); });
        if (missing != features.end()) {  // counted under the first column that lacks it
          dropped.skip("missing feature", (*missing)->name(), place(chunk, r));
          continue;
        }
      }
      keep.push_back(r);
    }
    const bool all = static_cast<std::int64_t>(keep.size()) == rows;
    if (!all && !any_dropped) {
      any_dropped = true;
      for (std::int64_t r = 0; r < table.rows(); ++r) source_rows.push_back(r);
    }
    if (any_dropped)
      for (std::int64_t r : keep) source_rows.push_back(chunk.first_row + r);
    if (all) {
      for (std::size_t c = 0; c < table.columns().size(); ++c)
        table.columns()[c].append(chunk.table.columns()[c]);
    } else {
      for (std::size_t c = 0; c < table.columns().size(); ++c)
        for (std::int64_t r : keep) table.columns()[c].push_from(chunk.table.columns()[c], r);
    }
  }
  table.set_source_rows(std::move(source_rows));
  table.provenance() = source.provenance();
  for (Skipped& s : dropped.skipped) table.provenance().skipped.push_back(std::move(s));
  if (table.rows() == 0 && table.provenance().rows_read == 0)
    throw DataError(fmt::format("{}: there are no data rows, expected at least one", source.name()));
  if (table.rows() == 0)
    throw DataError(fmt::format("{}: none of the {} rows is left: {} have no target and {} miss a feature",
                                source.name(), table.provenance().rows_read,
                                table.provenance().skipped_count("missing target"),
                                table.provenance().skipped_count("missing feature")));
  return table;
}

TableSource::TableSource(const Table& table, std::int64_t chunk_rows)
    : table_(table), schema_(table.schema()), chunk_rows_(std::max<std::int64_t>(chunk_rows, 1)) {
  provenance_.source = table.provenance().source;
  provenance_.data_hash =
      table.provenance().data_hash.empty() ? table.content_hash() : table.provenance().data_hash;
}

bool TableSource::next(Chunk& chunk) {
  const std::int64_t count = std::min(chunk_rows_, table_.rows() - next_row_);
  if (count <= 0) return false;
  std::vector<std::int64_t> rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), next_row_);
  chunk.table = table_.select(rows);
  chunk.first_row = next_row_;
  chunk.lines.clear();
  next_row_ += count;
  provenance_.rows_read = next_row_;
  return true;
}

}  // namespace emshap
