// The properties that fuzzing checks, and libFuzzer's entry point:
//   clang++ -std=c++20 -fsanitize=fuzzer,address -Iinclude -Isrc -Itests tests/stream/fuzz_messages.cpp
//   src/stream/*.cpp ...
// The same properties run without libFuzzer in test_fuzz_messages.cpp.
#include "fuzz_messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "emshap/core/error.h"

namespace emshap::test {
namespace {

using namespace stream;

constexpr std::int64_t now = 1'735'700'000;

// Every field with its exact value, NaN as itself.
std::string text_of(const Sample& s) {
  std::string out = fmt::format("{} {} {} {} {}", s.offset, s.time, s.node_id, s.power_consumption, s.extra);
  for (const float v : s.metrics) out += fmt::format(" {}", v);
  return out + "\n";
}
// In order of offsets.
std::string text_of(const Batch& batch) {
  std::map<std::int64_t, std::string> lines;
  for (const Sample& s : batch.samples) lines[s.offset] += text_of(s);
  for (const Rejected& r : batch.rejected)
    lines[r.offset] += fmt::format("{} {} {} {}\n", r.offset, to_string(r.reason), r.detail, r.bytes);
  std::string out;
  for (const auto& [offset, line] : lines) out += line;
  return out;
}

std::string unacceptable(const Sample& s) {
  if (s.node_id.empty() || s.node_id.size() > 255) return "a node_id of no or too many bytes";
  if (s.time <= 0 || s.time > now + 300) return "a time that is out of range";
  if (std::isinf(s.power_consumption) || s.power_consumption < 0) return "an impossible power";
  for (std::size_t m = 0; m < metric_count; ++m) {
    if (std::isinf(s.metrics[m])) return "an infinite metric";
    if (s.metrics[m] < 0 && !std::string_view(metric_names[m]).starts_with("temp_"))
      return "a negative metric";
  }
  return {};
}

struct Outcome {
  std::string records, error, tail, fingerprint;
  std::int64_t offset = 0;
  bool operator==(const Outcome&) const = default;
};

// Reads on to the end or an error; what there was before stays in `outcome`.
std::string read(RecordReader& reader, std::int64_t most, Outcome& outcome) {
  try {
    Batch batch;
    while (true) {
      const std::int64_t first = reader.offset();
      if (!reader.next(most, now, batch)) break;
      if (batch.ranges.size() != 1 || batch.ranges[0].first != first ||
          batch.ranges[0].next != reader.offset() || batch.records() != reader.offset() - first)
        return "a batch whose range is not its records";
      std::vector<char> seen(static_cast<std::size_t>(batch.records()));
      const auto mark = [&](std::int64_t offset) {
        if (offset < first || offset >= reader.offset()) return false;
        const auto at = static_cast<std::size_t>(offset - first);
        return std::exchange(seen[at], char{1}) == 0;
      };
      for (const Sample& s : batch.samples) {
        if (!mark(s.offset)) return "an offset that is wrong or twice";
        if (std::string wrong = unacceptable(s); !wrong.empty()) return wrong;
      }
      for (const Rejected& r : batch.rejected)
        if (!mark(r.offset)) return "an offset that is wrong or twice";
      outcome.records += text_of(batch);
    }
    outcome.error.clear();
  } catch (const Error& error) {
    outcome.error = error.what();
  }
  outcome.offset = reader.offset();
  outcome.fingerprint = reader.fingerprint();
  outcome.tail.clear();
  if (const auto tail = reader.tail())
    outcome.tail = fmt::format("{} {} {} {}", tail->record, tail->byte, tail->bytes, tail->what);
  return {};
}

// `stop`: how many bytes of the file there are so far.
std::unique_ptr<RecordReader> open(const std::string& bytes, RecordFormat format, std::size_t piece,
                                   std::shared_ptr<std::size_t> stop) {
  RecordOptions options;
  options.format = format;
  options.buffer_bytes = piece;
  options.acceptance.most_bytes = 400;
  ByteReader reader = [&bytes, piece, stop, at = std::size_t{0}](char* buffer, std::size_t capacity) mutable {
    const std::size_t count = std::min({capacity, piece, *stop - at});
    std::memcpy(buffer, bytes.data() + at, count);
    at += count;
    return count;
  };
  return open_records("f", std::move(reader), options);
}

std::string compare(const std::string& bytes, RecordFormat format) {
  const auto all = std::make_shared<std::size_t>(bytes.size());
  const auto outcome_of = [&](std::size_t piece, std::int64_t most, Outcome& outcome) -> std::string {
    try {
      return read(*open(bytes, format, piece, all), most, outcome);
    } catch (const Error& error) {
      outcome.error = error.what();  // opening
      return {};
    }
  };
  Outcome whole, pieces;
  if (std::string wrong = outcome_of(1 << 16, 1000, whole); !wrong.empty()) return wrong;
  if (std::string wrong = outcome_of(3, 1000, pieces); !wrong.empty()) return wrong;
  if (whole != pieces) return "the result depends on the pieces read";
  if (whole.offset == 0) return {};

  // Taken up again in the middle, by another reader.
  const std::int64_t middle = whole.offset / 2;
  const auto first = open(bytes, format, 64, all);
  if (first->skip(middle) != middle) return "fewer records are skipped than are read";
  const auto second = open(bytes, format, 17, all);
  resume(*second, middle, first->fingerprint());
  Outcome rest;
  if (std::string wrong = read(*second, 2, rest); !wrong.empty()) return wrong;
  if (!whole.records.ends_with(rest.records) || rest.offset != whole.offset)
    return "taking up again gives other records";
  if (rest.fingerprint != whole.fingerprint || rest.tail != whole.tail || rest.error != whole.error)
    return "taking up again ends elsewhere";

  // The file grows while it is read. Lines of JSON may be whole before their end is there.
  if (format == RecordFormat::jsonl) return {};
  const auto stop =
      std::make_shared<std::size_t>(bytes.find('\n') == std::string::npos ? 0 : bytes.find('\n') + 1);
  std::unique_ptr<RecordReader> growing;
  try {
    growing = open(bytes, format, 64, stop);
  } catch (const Error&) {
    return {};  // no header yet
  }
  Outcome grown;
  for (std::size_t end = *stop; end <= bytes.size(); end += 1 + bytes.size() / 5) {
    *stop = end;
    if (std::string wrong = read(*growing, 1000, grown); !wrong.empty()) return wrong;
  }
  *stop = bytes.size();
  if (std::string wrong = read(*growing, 1000, grown); !wrong.empty()) return wrong;
  if (grown.records != whole.records || grown.fingerprint != whole.fingerprint || grown.tail != whole.tail ||
      grown.error != whole.error || grown.offset != whole.offset)
    return "a file that grows gives another result";
  return {};
}

}  // namespace

std::string fuzz_message_once(std::string_view bytes) {
  static Decoder decoder({});
  static Batch batch, again;
  batch.clear();
  again.clear();
  decoder.decode(bytes, 0, 0, now, batch);
  if (batch.records() != 1) return "not one outcome";
  if (batch.samples.empty()) return batch.rejected[0].bytes == bytes ? "" : "other bytes in quarantine";
  if (std::string wrong = unacceptable(batch.samples[0]); !wrong.empty()) return wrong;
  std::string encoded;
  encode(batch.samples[0], encoded);
  decoder.decode(encoded, 0, 0, now, again);
  if (text_of(batch) != text_of(again))
    return "another sample after encoding: " + text_of(batch) + text_of(again);
  return {};
}

std::string fuzz_file_once(const std::string& bytes, RecordFormat format) {
  try {
    return compare(bytes, format);
  } catch (const std::exception& error) {
    return fmt::format("an exception that has no business here: {}", error.what());
  }
}

}  // namespace emshap::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  using emshap::stream::RecordFormat;
  std::string wrong = emshap::test::fuzz_message_once(bytes);
  for (const RecordFormat format :
       {RecordFormat::csv, RecordFormat::jsonl, RecordFormat::protobuf, RecordFormat::batch})
    if (wrong.empty()) wrong = emshap::test::fuzz_file_once(bytes, format);
  if (!wrong.empty()) {
    std::fprintf(stderr, "%s\n", wrong.c_str());
    std::abort();
  }
  return 0;
}
