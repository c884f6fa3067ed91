#pragma once
// Rows of a feature store as a Source, so that whatever reads a table reads a store.
//
// Columns as in emshap_datagen's files: time, node_id, the 20 metrics, power_consumption; and "extra.NAME"
// for each such name in the selection. Rows come in the order of (node_id, time). The data hash is that of a
// CSV file of the same rows (emshap_ingest export), with the text of their extra metrics: one more row or
// another value changes it.
//
// Where the selection names no features, a column without any value in the chosen rows is no feature: it is
// among the provenance's `skipped`. Finding that out ends with the first row by which every column has had a
// value, else it is one more pass over the rows.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/data/source.h"
#include "emshap/stream/feature_store.h"

namespace emshap::stream {

/// Names of the columns that every store has.
EMSHAP_API std::vector<std::string> store_columns();

class EMSHAP_API StoreSource : public Source {
 public:
  /// `name` is for messages and the provenance, without password; `block`: rows of a chunk. Throws DataError
  /// for a bad selection, IoError when the store cannot be read.
  StoreSource(std::shared_ptr<FeatureStore> store, std::string name, const ColumnSelection& selection,
              RowFilter filter = {}, std::int64_t block = 8192);
  ~StoreSource() override;

  const std::string& name() const override;
  const std::vector<ColumnSpec>& schema() const override;
  bool next(Chunk& chunk) override;
  const Provenance& provenance() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace emshap::stream
