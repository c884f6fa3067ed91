#pragma once
// Samples, quarantine and progress in a database: SQLite (a file, WAL) or PostgreSQL, one schema
// (docs/formats.md).
//
// A batch is written in ONE transaction that first compares the first offset of each of its partitions with
// the stored next offset. So each record is stored once, whoever reads it how often.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/core/progress.h"
#include "emshap/stream/row_filter.h"
#include "emshap/stream/sample.h"

namespace emshap::stream {

/// Which of two samples with one (node_id, time) stays among the samples; the other goes to quarantine.
enum class Repeated : std::uint8_t { first, last };
/// Parses "first" or "last". Throws ConfigError.
EMSHAP_API Repeated parse_repeated(const std::string& text);

struct StoreOptions {
  bool create = true;  ///< make the file and the tables where they are absent
  bool read_only = false;
  Repeated repeated = Repeated::first;
  double busy_seconds = 30;  ///< how long another writer is waited for
  /// SQLite: every commit waits until the disk has it. If not, a power failure may take the last commits
  /// away, rows and positions together; their messages are then read again where the topic still has them.
  /// PostgreSQL: as the server is set.
  bool sync = true;
};

/// Where the reading of a partition goes on, and what it has seen.
struct Position {
  std::int64_t next_offset = 0;
  std::string fingerprint;  ///< of a file's records before next_offset; empty for topics
};

struct CommitResult {
  /// Partitions that another consumer has moved on (stored next offset differs from the first of the batch):
  /// nothing of the batch was written.
  std::map<std::int32_t, std::int64_t> conflicts;
  /// stored + repeated + those that cannot be stored (see commit()): the samples of the batch;
  /// quarantined: its rejected messages and those that cannot be stored. With both policies the table of
  /// samples has grown by `stored`, the quarantine by `quarantined + repeated`.
  std::int64_t stored = 0, quarantined = 0, repeated = 0;
  std::int64_t gaps = 0, missed = 0;  ///< missed: records in gaps
  bool written() const { return conflicts.empty(); }
};

struct StoreSummary {
  std::string engine, location;  ///< without password
  std::int64_t version = 0;
  std::string schema_hash;
  std::int64_t samples = 0, first_time = 0, last_time = 0;
  std::vector<std::pair<std::string, std::int64_t>> nodes;     ///< samples by node, at most 1,000 nodes
  std::vector<std::pair<std::string, std::int64_t>> rejected;  ///< quarantine by reason
  struct Partition {
    std::string topic;
    std::int32_t partition = 0;
    std::int64_t next_offset = 0, samples = 0, quarantined = 0, missed = 0;
  };
  std::vector<Partition> partitions;
};

struct Quarantined {
  std::string topic, reason, detail, bytes;
  std::int32_t partition = 0;
  std::int64_t offset = 0, stored_at = 0;  ///< Unix seconds
};

/// Threads may share one, but wait for each other; one each is better. After an error it is of use again: a
/// lost connection is made anew by the next call.
class EMSHAP_API FeatureStore {
 public:
  virtual ~FeatureStore() = default;

  /// Writes all of the batch or, on a conflict, nothing. A partition without stored position begins where the
  /// batch says. Gaps that lead from the stored position to the first offset explain a jump; all are noted.
  /// Samples whose node_id is no UTF-8 text or contains a zero byte go to quarantine (Reason::no_node).
  /// Throws IoError (environment) when the database cannot be written (full disk, another writer does not
  /// end, lost connection): nothing was written, and the call may be repeated. If the connection broke while
  /// the commit was confirmed, the repeated call reports a conflict instead of writing twice. `fingerprint`
  /// is stored with the (single) partition of a file.
  virtual CommitResult commit(const Batch& batch, const std::string& fingerprint = {}) = 0;
  /// Stored positions of a topic, by partition.
  virtual std::map<std::int32_t, Position> positions(const std::string& topic) = 0;

  /// Replaces `out` with the next at most `block` samples by (node_id in byte order, time): those behind the
  /// sample `after` (its time and node_id count), or the first ones. Empty at the end. Each call is a read of
  /// its own, so that long training does not hold a transaction; rows that arrive meanwhile in the past are
  /// not promised.
  virtual void read(const RowFilter& filter, const Sample* after, std::int64_t block,
                    std::vector<Sample>& out) = 0;
  /// All of them, block by block, until `take` returns false.
  void scan(const RowFilter& filter, std::int64_t block,
            const std::function<bool(const std::vector<Sample>&)>& take);
  virtual std::int64_t count(const RowFilter& filter) = 0;
  virtual void scan_quarantine(std::int64_t most, const std::function<void(const Quarantined&)>& take) = 0;
  virtual StoreSummary summary() = 0;
  /// Removes samples and quarantined messages with times (quarantine: stored_at) before `time`; positions
  /// stay. Returns the numbers removed.
  virtual std::pair<std::int64_t, std::int64_t> prune(std::int64_t time) = 0;
};

/// "postgresql://..." or "postgres://..." (libpq's URL or its environment variables; see docs/ingestion.md
/// for passwords), else the path of an SQLite file, also "sqlite:PATH". Throws IoError: data for a file that
/// is no store or of another version, environment for a server that does not answer; ConfigError for an
/// engine that was not built in.
EMSHAP_API std::unique_ptr<FeatureStore> open_store(const std::string& location,
                                                    const StoreOptions& options = {});
/// Whether --data names a store: a PostgreSQL URL, "sqlite:", or a file with SQLite's magic bytes.
EMSHAP_API bool is_store(const std::string& location);
/// The location as it may be saved and logged: a PostgreSQL URL without password and sslpassword (libpq finds
/// them in PGPASSWORD or its password file); others as they are.
EMSHAP_API std::string without_password(const std::string& location);

}  // namespace emshap::stream
