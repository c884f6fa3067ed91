#include "emshap/stream/feature_store.h"

namespace emshap::stream {

void FeatureStore::scan(const RowFilter& filter, std::int64_t block,
                        const std::function<bool(const std::vector<Sample>&)>& take) {
  std::vector<Sample> samples;
  Sample last;
  read(filter, nullptr, block, samples);
  while (!samples.empty() && take(samples)) {
    last.time = samples.back().time;
    last.node_id = samples.back().node_id;
    read(filter, &last, block, samples);
  }
}

}  // namespace emshap::stream
