#pragma once
// Messages of simulated hosts, some of them spoiled on purpose, for tests and demonstrations.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "emshap/core/export.h"
#include "emshap/data/host_simulator.h"
#include "emshap/stream/sample.h"

namespace emshap::stream {

/// The node is called "node-3" as in CSV files of emshap_datagen; NaN cells are "not measured".
EMSHAP_API Sample to_sample(const HostSample& host);

struct GeneratedMessage {
  std::string key;             ///< the host
  std::string bytes;           ///< a FeatureVector, unless it was spoiled so that it is none
  std::optional<Reason> fate;  ///< why a consumer has to refuse it; absent: it has to be stored
};

/// One message for each row of the simulator. A share of them is spoiled, in equal parts: not a message, no
/// time, time in the year 2100, no node_id, NaN or infinite value, negative value, and a copy of the host's
/// last good message. The choice depends on seed and row only. A row that is to be a copy but has nothing
/// before it stays good.
class EMSHAP_API MessageGenerator {
 public:
  /// Throws ConfigError for a share outside 0..1 or for what HostSimulator refuses.
  MessageGenerator(const HostSimulatorOptions& options, double poison);
  ~MessageGenerator();
  MessageGenerator(MessageGenerator&&) noexcept;
  /// False after the last row.
  bool next(GeneratedMessage& message);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// FNV-1a of 64 bits: tells two messages apart in records of what was sent.
EMSHAP_API std::uint64_t message_hash(std::string_view bytes);

}  // namespace emshap::stream
