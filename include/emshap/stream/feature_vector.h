#pragma once
// FeatureVector messages (proto/feature_vector.proto): decoding, checking, encoding.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/stream/sample.h"

namespace emshap::stream {

/// What an absent metric means. Producers with implicit presence do not send zeros: for their topics it is
/// `zero`.
enum class Absent : std::uint8_t { missing, zero };
/// Parses "missing" or "zero". Throws ConfigError.
EMSHAP_API Absent parse_absent(const std::string& text);

struct Acceptance {
  Absent absent = Absent::missing;
  std::int64_t future_seconds = 300;      ///< tolerance for times later than now
  std::unordered_set<std::string> nodes;  ///< accepted hosts; empty: all
  std::int64_t most_bytes = 1 << 20;      ///< of one message
};

/// How often each metric was absent and how often zero; shows topics that need Absent::zero.
struct Presence {
  std::int64_t messages = 0;
  std::array<std::int64_t, metric_count> absent{}, zero{};
};

/// Decodes and checks messages one after another; keeps its buffers. Not for several threads at once.
class EMSHAP_API Decoder {
 public:
  /// Throws ConfigError for a `most_bytes` that is not possible. While a decoder exists protobuf logs
  /// nothing.
  explicit Decoder(Acceptance acceptance);
  ~Decoder();
  Decoder(Decoder&&) noexcept;

  /// Appends to batch.samples or batch.rejected, there with the first reason in the order of docs/formats.md
  /// (never throws for bad bytes). `now`: Unix seconds. Unknown
  /// fields are ignored. partition and offset are those of the record.
  void decode(std::string_view bytes, std::int32_t partition, std::int64_t offset, std::int64_t now,
              Batch& batch);
  /// The same checks for a sample that was read from another format; `bytes`: what to keep if it is rejected.
  void accept(Sample sample, std::string_view bytes, std::int64_t now, Batch& batch);
  const Presence& presence() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Metrics that were absent in a tenth of at least 1,000 messages and never zero: their producers may leave
/// out zeros.
EMSHAP_API std::vector<std::string> perhaps_zero(const Presence& presence);

/// The message of a sample, deterministic; appends to `out`. NaN metrics are left out. Throws DataError for a
/// node_id that is not UTF-8 and an `extra` that is no JSON object of numbers.
EMSHAP_API void encode(const Sample& sample, std::string& out);

}  // namespace emshap::stream
