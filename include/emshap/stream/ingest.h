#pragma once
// From a topic or a file into a feature store, each record once.
//
// One thread polls and decodes, another writes. What waits between them is bounded: a slow store makes the
// reader wait, then pause its partitions while it goes on polling, so that it stays in its group.
#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/core/progress.h"
#include "emshap/stream/feature_store.h"
#include "emshap/stream/feature_vector.h"
#include "emshap/stream/kafka_consumer.h"
#include "emshap/stream/record_reader.h"

namespace emshap::stream {

/// Where partitions without a stored position begin.
enum class From : std::uint8_t { beginning, end };
/// Parses "beginning" or "end". Throws ConfigError.
EMSHAP_API From parse_from(const std::string& text);

struct IngestOptions {
  std::string store_name = "the store";  ///< for messages and the report; without password
  Acceptance acceptance;
  From from = From::beginning;
  std::int64_t batch_records = 20'000;  ///< written in one transaction, at most
  double batch_seconds = 1;             ///< a record waits no longer than this before it is written
  double connect_seconds = 30;          ///< how long brokers and topic are waited for at the start
  double store_seconds = 60;            ///< how long a store that cannot be written is tried again; 0: not
  double for_seconds = 0;               ///< ends after so long; 0: no limit
  std::int64_t messages = 0;            ///< ends after so many; 0: no limit
  double until_idle = 0;                ///< ends when nothing came for so long; 0: never
  std::int64_t ahead_bytes = 64 << 20;  ///< of records that are decoded and not written
};

/// What happened. received = stored + rejected + repeated + discarded once all has been written.
struct IngestReport {
  std::string topic, store, ended;  ///< ended: "stopped", "after 60 s", "idle", "end of file" ...
  std::int64_t received = 0;        ///< records read and decoded
  std::int64_t stored = 0;
  std::int64_t rejected = 0;          ///< in quarantine, by reason below
  std::int64_t repeated = 0;          ///< (node_id, time) was there already
  std::int64_t discarded = 0;         ///< read, not written: another consumer had them, or the store failed
  std::int64_t gaps = 0, missed = 0;  ///< stretches of offsets that were gone, and how many
  std::int64_t conflicts = 0;         ///< times that another consumer had moved a partition on
  std::int64_t rebalances = 0, outages = 0, store_retries = 0, commits_failed = 0;
  std::int64_t batches = 0, bytes = 0;
  double seconds =
      0;  ///< from the first assignment (file: from the start) to the end; idle: to the last message
  std::int64_t lag = -1;  ///< records of our partitions still in the topic; -1: not known
  std::array<std::int64_t, reason_count> reasons{};
  std::map<std::int32_t, std::int64_t> positions;  ///< next offsets in the store
  std::vector<std::string> perhaps_zero;           ///< metrics whose absence may mean zero

  double rate() const { return seconds > 0 ? static_cast<double>(received) / seconds : 0; }
  bool adds_up() const { return received == stored + rejected + repeated + discarded; }
};
/// Lines for people; ends with the sum that shows whether the counts add up.
EMSHAP_API std::string to_text(const IngestReport& report);
EMSHAP_API std::string to_json(const IngestReport& report);

/// Reads the topic until a limit is reached or a stop is requested, which is a normal end: what has been
/// decoded is written first. Throws IoError (environment) when broker or store cannot be reached in time,
/// DataError when the topic ends before the stored offset (it was made anew). `report` is filled in any case.
EMSHAP_API void ingest_topic(FeatureStore& store, const KafkaOptions& kafka, const IngestOptions& options,
                             IngestReport& report, ProgressSink& sink = null_sink(),
                             const StopToken& stop = StopToken());

/// The same for a file or, where `file` is "-", standard input. Its position is kept under the topic
/// "file:" + `name` with the fingerprint of what was read: a file read again stores nothing twice, one that
/// has grown goes on, one that was changed is a DataError.
EMSHAP_API void ingest_file(FeatureStore& store, const std::filesystem::path& file, const std::string& name,
                            const RecordOptions& records, const IngestOptions& options, IngestReport& report,
                            ProgressSink& sink = null_sink(), const StopToken& stop = StopToken());

}  // namespace emshap::stream
