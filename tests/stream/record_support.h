#pragma once
#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "emshap/stream/record_reader.h"
#include "message_support.h"

namespace emshap::test {

/// Bytes in pieces of at most `piece`; `end` (if given) says how many of them there are so far.
inline ByteReader bytes_of(const std::string& text, std::size_t piece = 1 << 20,
                           std::shared_ptr<std::size_t> end = nullptr) {
  return [text, piece, end, at = std::size_t{0}](char* buffer, std::size_t capacity) mutable {
    const std::size_t stop = end ? std::min(*end, text.size()) : text.size();
    const std::size_t count = std::min({capacity, piece, stop - at});
    std::memcpy(buffer, text.data() + at, count);
    at += count;
    return count;
  };
}

inline std::unique_ptr<stream::RecordReader> reader_of(const std::string& text, stream::RecordFormat format,
                                                       stream::RecordOptions options = {},
                                                       std::size_t piece = 1 << 20) {
  options.format = format;
  return stream::open_records("f", bytes_of(text, piece), options);
}

/// Everything in one batch; checks that the ranges are whole.
inline stream::Batch read_all(stream::RecordReader& reader, std::int64_t most = 1000) {
  stream::Batch all, batch;
  while (reader.next(most, test_now, batch)) {
    REQUIRE(batch.ranges.size() == 1);
    CHECK(batch.ranges[0].partition == 0);
    CHECK(batch.ranges[0].next == reader.offset());
    CHECK(batch.ranges[0].next - batch.ranges[0].first == batch.records());
    CHECK(batch.records() <= most);
    for (auto& s : batch.samples) all.samples.push_back(std::move(s));
    for (auto& r : batch.rejected) all.rejected.push_back(std::move(r));
  }
  CHECK(batch.empty());
  CHECK(batch.records() == 0);
  // Each offset once.
  std::vector<std::int64_t> offsets;
  for (const auto& s : all.samples) offsets.push_back(s.offset);
  for (const auto& r : all.rejected) offsets.push_back(r.offset);
  std::sort(offsets.begin(), offsets.end());
  for (std::size_t i = 0; i < offsets.size(); ++i) CHECK(offsets[i] == static_cast<std::int64_t>(i));
  return all;
}

inline stream::Batch read_all(const std::string& text, stream::RecordFormat format,
                              stream::RecordOptions options = {}) {
  return read_all(*reader_of(text, format, std::move(options)));
}

/// A message after its length.
inline std::string delimited(std::string_view message) {
  return Wire().varint(message.size()).raw(message).str();
}

inline std::string message_of(const stream::Sample& sample) {
  std::string bytes;
  stream::encode(sample, bytes);
  return bytes;
}

/// Samples that differ in time, value and node.
inline std::vector<stream::Sample> some_samples(int count) {
  std::vector<stream::Sample> samples;
  for (int i = 0; i < count; ++i) {
    stream::Sample s = full_sample();
    s.time += i;
    s.offset = i;
    s.node_id = "node-" + std::to_string(i % 3);
    s.metrics[static_cast<std::size_t>(i) % stream::metric_count] = stream::not_measured;
    if (i % 4 == 1) s.extra = "{\"inlet\":" + std::to_string(i) + "}";
    samples.push_back(s);
  }
  return samples;
}

}  // namespace emshap::test
