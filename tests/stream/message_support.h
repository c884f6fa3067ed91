#pragma once
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "emshap/stream/feature_vector.h"
#include "wire.h"

namespace emshap::test {

inline constexpr std::int64_t test_now = 1'735'700'000;
inline constexpr std::int64_t test_time = 1'735'689'600;  // before test_now

/// All metrics and the target, each with a value of its own.
inline stream::Sample full_sample() {
  stream::Sample sample;
  sample.time = test_time;
  sample.node_id = "rack3-node17";
  sample.power_consumption = 412.5f;
  for (std::size_t m = 0; m < stream::metric_count; ++m) sample.metrics[m] = static_cast<float>(m) + .25f;
  return sample;
}

/// A message of time and node alone, to be added to.
inline Wire minimal() {
  return Wire().integer(1, test_time).bytes(2, "n1");
}

/// What becomes of one message.
inline stream::Batch decoded(std::string_view bytes, const stream::Acceptance& acceptance = {}) {
  stream::Decoder decoder(acceptance);
  stream::Batch batch;
  decoder.decode(bytes, 5, 77, test_now, batch);
  return batch;
}

/// The only sample of a batch.
inline stream::Sample only(const stream::Batch& batch) {
  REQUIRE_MESSAGE(batch.rejected.empty(), (batch.rejected.empty() ? "" : batch.rejected[0].detail));
  REQUIRE(batch.samples.size() == 1);
  return batch.samples[0];
}

inline bool same_float(float a, float b) {
  return a == b || (std::isnan(a) && std::isnan(b));
}

inline void check_equal(const stream::Sample& a, const stream::Sample& b) {
  CHECK(a.time == b.time);
  CHECK(a.node_id == b.node_id);
  CHECK(a.extra == b.extra);
  CHECK(same_float(a.power_consumption, b.power_consumption));
  for (std::size_t m = 0; m < stream::metric_count; ++m) {
    CAPTURE(stream::metric_names[m]);
    CHECK(same_float(a.metrics[m], b.metrics[m]));
  }
}

/// Rejected for this reason, with its bytes and place, and with these words.
inline void check_rejected(std::string_view bytes, stream::Reason reason, const std::string& words,
                           const stream::Acceptance& acceptance = {}) {
  const stream::Batch batch = decoded(bytes, acceptance);
  CAPTURE(words);
  CHECK(batch.samples.empty());
  REQUIRE(batch.rejected.size() == 1);
  const stream::Rejected& r = batch.rejected[0];
  CHECK(std::string(stream::to_string(r.reason)) == stream::to_string(reason));
  CHECK_MESSAGE(r.detail.find(words) != std::string::npos, r.detail);
  CHECK(r.bytes == bytes);
  CHECK(r.partition == 5);
  CHECK(r.offset == 77);
}

}  // namespace emshap::test
