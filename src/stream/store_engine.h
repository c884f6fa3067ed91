#pragma once
// What FeatureStore needs of a database. The transaction logic, its SQL and what a repeated sample means are
// written once (feature_store.cpp); an engine connects, runs statements and inserts many rows quickly.
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "emshap/stream/feature_store.h"

namespace emshap::stream {

/// Values of a statement's $1, $2, ...
using StoreValue = std::variant<std::int64_t, std::string_view>;

/// One row of a result; texts live until the next row.
class StoreRow {
 public:
  virtual ~StoreRow() = default;
  virtual std::int64_t integer(int column) const = 0;   ///< 0 for NULL
  virtual float real(int column) const = 0;             ///< NaN for NULL
  virtual std::string_view text(int column) const = 0;  ///< text or bytes; empty for NULL
};
/// Returns false to stop.
using TakeRow = std::function<bool(const StoreRow&)>;

/// The transaction lost against another one (deadlock, serialisation) and was given up; it may be run again.
struct TryAgain : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Errors: IoError (environment: full disk, lock not had in time, lost connection; data: not a store), after
/// which rollback() must be called and the engine is of use again, with a new connection if need be.
class StoreEngine {
 public:
  virtual ~StoreEngine() = default;
  virtual std::string name() const = 0;      ///< "SQLite"
  virtual std::string location() const = 0;  ///< without password

  /// Starts a transaction; one that writes sees what was committed before and keeps other writers out of the
  /// rows it locks (SQLite: out of the file).
  virtual void begin(bool writes) = 0;
  virtual void commit() = 0;
  virtual void rollback() noexcept = 0;

  /// Runs one statement with the values of $1, $2, ...; returns how many rows it changed.
  virtual std::int64_t run(const std::string& sql, std::span<const StoreValue> values = {},
                           const TakeRow& take = {}) = 0;
  /// Ends a SELECT whose rows are locked until the transaction ends.
  virtual std::string for_update() const { return {}; }

  /// Inserts samples (sorted by time and node, each such pair once); appends the indices of those whose pair
  /// is in the table already, which are left out.
  virtual void insert_samples(std::string_view topic, std::span<const Sample* const> samples,
                              std::vector<std::size_t>& repeated) = 0;
  virtual void insert_quarantined(std::span<const Quarantined> messages) = 0;

  struct Group {
    std::string node_id, topic;
    std::int32_t partition = 0;
    std::int64_t samples = 0, first_time = 0, last_time = 0;
  };
  /// Samples by node, topic and partition, in any order.
  virtual std::vector<Group> count_groups() = 0;
  /// Gives room of removed rows back, outside of a transaction.
  virtual void reclaim() = 0;
};

/// Both open or make the store and check its version.
std::unique_ptr<StoreEngine> open_sqlite(const std::string& path, const StoreOptions& options);
/// Throws ConfigError where the engine was not built in.
std::unique_ptr<StoreEngine> open_postgres(const std::string& url, const StoreOptions& options);

}  // namespace emshap::stream
