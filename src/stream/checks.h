#pragma once
// What every message must pass, whatever format it came in.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emshap/stream/feature_vector.h"

namespace emshap::stream {

/// A further metric; the name stays valid during the call.
struct ExtraValue {
  std::string_view name;
  float value = 0;
};

inline constexpr std::uint32_t target_bit = std::uint32_t{1} << metric_count;
static_assert(metric_count < 32);

class Checks {
 public:
  explicit Checks(Acceptance acceptance);

  /// Checks batch.samples.back(), which has everything but `extra`, and either completes it or moves it to
  /// batch.rejected with `bytes`. Bit m of `present`: metric m was measured, target_bit: so was the power;
  /// the value of the others is not read. Names of `extra` differ; their order is changed.
  void settle(std::uint32_t present, std::span<ExtraValue> extra, std::string_view bytes, std::int64_t now,
              Batch& batch);
  static void reject(std::int32_t partition, std::int64_t offset, Reason reason, std::string detail,
                     std::string_view bytes, Batch& batch);

  const Acceptance& acceptance() const { return acceptance_; }
  const Presence& presence() const { return presence_; }

 private:
  struct Finding;
  bool find(const Sample& sample, std::uint32_t present, std::span<const ExtraValue> extra, std::int64_t now,
            Finding& finding) const;
  Acceptance acceptance_;
  Presence presence_;
};

/// Throws ConfigError for a size of messages that is not possible.
void check_limits(const Acceptance& acceptance);
/// `present` of a sample in which NaN means absent.
std::uint32_t measured(const Sample& sample);
bool valid_utf8(std::string_view text);
bool has_control(std::string_view text);
/// The further metrics of a sample's JSON text; the names live in `names`. Throws DataError.
std::vector<ExtraValue> read_extra(const std::string& json, std::vector<std::string>& names);

}  // namespace emshap::stream
