#pragma once
// Messages on their way from a topic or a file into a store.
#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/data/host_simulator.h"

namespace emshap::stream {

/// The metrics of a message, in the order of their field numbers (proto/feature_vector.proto).
inline constexpr const auto& metric_names = host_metric_names;
inline constexpr std::size_t metric_count = metric_names.size();
inline constexpr float not_measured = std::numeric_limits<float>::quiet_NaN();

/// One accepted message. Where a record stands: `partition` and `offset` in the topic of its batch; in a file
/// the partition is 0 and the offset counts records from 0.
struct Sample {
  std::int64_t time = 0;  ///< Unix seconds
  std::int64_t offset = 0;
  std::int32_t partition = 0;
  float power_consumption = not_measured;     ///< W
  std::array<float, metric_count> metrics{};  ///< NaN: not measured
  std::string node_id;
  std::string extra;  ///< further metrics as a JSON object with sorted keys; empty: none
};

/// Why a message is not among the samples. The names (to_string) are part of the store's format.
enum class Reason : std::uint8_t {
  not_a_message,   ///< does not parse, or names in `extra` are unusable
  no_time,         ///< time absent, zero or negative
  future_time,     ///< later than now plus the tolerance
  no_node,         ///< node_id empty, longer than 255 bytes or with control characters
  unknown_node,    ///< not in the list of nodes
  not_finite,      ///< NaN or infinite value
  negative_value,  ///< below zero where that is impossible (all but temperatures)
  repeated,        ///< (node_id, time) is there already
  too_large,       ///< more bytes than a message may have
};
inline constexpr std::size_t reason_count = 9;
EMSHAP_API const char* to_string(Reason reason);

/// One message that was not accepted, with its bytes as they came.
struct Rejected {
  std::int64_t offset = 0;
  std::int32_t partition = 0;
  Reason reason = Reason::not_a_message;
  std::string detail;  ///< one phrase: field and value
  std::string bytes;
};

/// Offsets [first, next) that the topic no longer has.
struct Gap {
  std::int32_t partition = 0;
  std::int64_t first = 0, next = 0;
  std::string cause;  ///< "retention", "missing offsets"
};

/// The records [first, next) of one partition: everything there is between is in the batch.
struct Range {
  std::int32_t partition = 0;
  std::int64_t first = 0, next = 0;
};

/// What is written in one transaction. Ranges name each partition once.
struct Batch {
  std::string topic;
  std::vector<Sample> samples;
  std::vector<Rejected> rejected;
  std::vector<Gap> gaps;
  std::vector<Range> ranges;

  bool empty() const { return ranges.empty(); }
  std::int64_t records() const { return static_cast<std::int64_t>(samples.size() + rejected.size()); }
  void clear() {
    samples.clear();
    rejected.clear();
    gaps.clear();
    ranges.clear();
  }
};

}  // namespace emshap::stream
