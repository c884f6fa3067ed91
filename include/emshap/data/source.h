#pragma once
// Rows in chunks: a CSV file, a table in memory, later a database.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/data/table.h"

namespace emshap {

/// Which columns are used and for what. Without `features`, every column that has no other use is a feature.
struct ColumnSelection {
  std::string target;  ///< empty: none
  std::vector<std::string>
      features;  ///< in this order in the table; empty: all others, in the order of the source
  std::vector<std::string> exclude;  ///< never read
  std::string group, time, node_id;  ///< empty: none; one column for group and node_id gets the role group
};

/// Column schema[i] of the table is column source_index[i] of the source.
struct ColumnPlan {
  std::vector<ColumnSpec> schema;  ///< features, target, group, time, node id
  std::vector<std::int64_t> source_index;
};
/// Throws DataError for an unknown name (listing near matches), a column with two uses, or no feature left.
EMSHAP_API ColumnPlan select_columns(const std::vector<std::string>& names, const ColumnSelection& selection,
                                     const std::string& source);

/// Where the selection says nothing about them, columns named "time" (or "timestamp") and "node_id" become
/// the time and the host: they name a row and are no features. Returns the names so taken, for a message.
EMSHAP_API std::vector<std::string> recognise_columns(ColumnSelection& selection,
                                                      const std::vector<std::string>& names);

/// Text for messages: ", did you mean 'usr'?" with the nearest of `known`, or ", known: a, b, c"; empty for
/// no names.
EMSHAP_API std::string suggest_name(const std::string& name, const std::vector<std::string>& known);

/// A chunk of consecutive source rows.
struct Chunk {
  Table table;
  std::int64_t first_row = 0;  ///< source row of the first one, from 0
  std::vector<std::int64_t>
      lines;  ///< line of each row in its file, from 1; empty when the source has no lines
};

class EMSHAP_API Source {
 public:
  virtual ~Source() = default;
  virtual const std::string& name() const = 0;
  /// The columns of each chunk, known before the first row is read.
  virtual const std::vector<ColumnSpec>& schema() const = 0;
  /// Replaces `chunk` with the next rows, at least one; false at the end.
  virtual bool next(Chunk& chunk) = 0;
  /// Complete once next() has returned false.
  virtual const Provenance& provenance() const = 0;
};

enum class MissingTarget : std::uint8_t { error, drop };
enum class MissingFeature : std::uint8_t {
  keep,  ///< cells stay missing; a pipeline step imputes them (policy "mean")
  drop,  ///< rows with a missing feature are left out (policy "drop")
};
struct RowPolicy {
  MissingTarget target = MissingTarget::error;
  MissingFeature feature = MissingFeature::keep;
};
/// Parses "mean" or "drop". Throws ConfigError.
EMSHAP_API MissingFeature parse_missing_feature(const std::string& text);

/// The whole source as one table; rows dropped by the policy are counted in its provenance. Needs the memory
/// of the table and one chunk. Throws DataError for a missing target (naming the line) and when no row is
/// left.
EMSHAP_API Table read_all(Source& source, const RowPolicy& policy = {});

/// Chunks of a table in memory, which must outlive the source.
class EMSHAP_API TableSource : public Source {
 public:
  explicit TableSource(const Table& table, std::int64_t chunk_rows = 65536);
  const std::string& name() const override { return table_.provenance().source; }
  const std::vector<ColumnSpec>& schema() const override { return schema_; }
  bool next(Chunk& chunk) override;
  const Provenance& provenance() const override { return provenance_; }

 private:
  const Table& table_;
  std::vector<ColumnSpec> schema_;
  Provenance provenance_;
  std::int64_t chunk_rows_;
  std::int64_t next_row_ = 0;
};

}  // namespace emshap
