#pragma once
// The one implementation of FeatureStore, over an engine.
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "emshap/core/error.h"
#include "stream/store_engine.h"

namespace emshap::stream {

class EngineStore final : public FeatureStore {
 public:
  EngineStore(std::unique_ptr<StoreEngine> engine, Repeated repeated)
      : engine_(std::move(engine)), repeated_(repeated) {}

  CommitResult commit(const Batch& batch, const std::string& fingerprint) override;
  std::map<std::int32_t, Position> positions(const std::string& topic) override;
  void read(const RowFilter& filter, const Sample* after, std::int64_t block,
            std::vector<Sample>& out) override;
  std::int64_t count(const RowFilter& filter) override;
  void scan_quarantine(std::int64_t most, const std::function<void(const Quarantined&)>& take) override;
  StoreSummary summary() override;
  std::pair<std::int64_t, std::int64_t> prune(std::int64_t time) override;

 private:
  using Ranges = std::vector<Range>;
  CommitResult write(const Batch& batch, const Ranges& ranges, const std::string& fingerprint);
  std::map<std::int32_t, std::int64_t> lock_positions(const std::string& topic, const Ranges& ranges);
  void sort_samples(const Batch& batch, CommitResult& result, std::vector<Quarantined>& quarantine);
  void write_samples(const Batch& batch, CommitResult& result, std::vector<Quarantined>& quarantine);
  void replace_samples(const Batch& batch, CommitResult& result, std::vector<Quarantined>& quarantine);
  void write_gaps(const Batch& batch, CommitResult& result, std::int64_t now);
  void write_positions(const std::string& topic, const Ranges& ranges, const std::string& fingerprint);

  /// Runs `body` in a transaction, again where it lost against another one; ends it when `body` throws.
  template <class Body>
  void transaction(bool writes, Body&& body) {
    for (int attempt = 1;; ++attempt) {
      try {
        engine_->begin(writes);
        if (body())
          engine_->commit();
        else
          engine_->rollback();
        return;
      } catch (const TryAgain& lost) {
        engine_->rollback();
        if (attempt == 20) throw IoError(lost.what(), ErrorKind::environment);
      } catch (...) {
        engine_->rollback();
        throw;
      }
    }
  }
  std::mutex mutex_;
  std::unique_ptr<StoreEngine> engine_;
  Repeated repeated_;
  std::vector<const Sample*> order_;  ///< samples to insert, by (node_id, time)
  std::vector<std::size_t> twice_;    ///< places in order_ whose key is in the table
};

}  // namespace emshap::stream
