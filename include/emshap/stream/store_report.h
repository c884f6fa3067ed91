#pragma once
// What an operator asks of a store: what is in it, removing what is old, copies for other programs.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/core/progress.h"
#include "emshap/stream/feature_store.h"

namespace emshap::stream {

struct StoreReport {
  StoreSummary summary;
  std::vector<Quarantined> quarantine;  ///< some of it
};
/// Counts and at most `quarantine` messages of the quarantine.
EMSHAP_API StoreReport inspect_store(FeatureStore& store, std::int64_t quarantine = 0);
/// Tables for a terminal: bytes as shown by shown_bytes, cut after 200 characters.
EMSHAP_API std::string report_text(const StoreReport& report);
/// The same as one JSON object; bytes in hexadecimal and, where they are a message, as its JSON.
EMSHAP_API std::string report_json(const StoreReport& report);
/// The bytes as the JSON of a FeatureVector message where they parse as one without unknown fields, as they
/// are where they are printable text, else in hexadecimal.
EMSHAP_API std::string shown_bytes(std::string_view bytes);

/// The time that "30d", "12h", "90m", "45s" or "2w" before `now` is, or the time itself (Unix seconds, ISO
/// 8601). Throws ConfigError for other text and for times after `now`.
EMSHAP_API std::int64_t parse_older_than(const std::string& text, std::int64_t now);
/// "2025-01-31T12:00:00Z".
EMSHAP_API std::string utc_text(std::int64_t unix_seconds);

struct ExportResult {
  std::int64_t rows = 0;
  std::string data_hash;                     ///< that StoreSource gives to these rows
  std::vector<std::filesystem::path> files;  ///< written
};
/// Rows by (node_id, time) to a CSV file: columns as in emshap_datagen's files, then "extra.NAME" for each of
/// `extras`. Memory does not grow with the rows. Throws IoError (environment) when writing fails, Interrupted
/// when stopped; then no file is written.
EMSHAP_API ExportResult export_csv(FeatureStore& store, const RowFilter& filter,
                                   const std::filesystem::path& path, const std::vector<std::string>& extras,
                                   ProgressSink& sink = null_sink(), const StopToken* stop = nullptr);
/// The same rows for NumPy. For a path X.npy: X.npy float32 (rows, 21), power_consumption and the metrics,
/// NaN where not measured; X_time.npy int64 (rows); X_node.npy int32 (rows), numbers of hosts; X_names.json
/// {"columns": [21 names], "nodes": [names by number]}. The matrix comes last.
EMSHAP_API ExportResult export_npy(FeatureStore& store, const RowFilter& filter,
                                   const std::filesystem::path& path, ProgressSink& sink = null_sink(),
                                   const StopToken* stop = nullptr);

}  // namespace emshap::stream
