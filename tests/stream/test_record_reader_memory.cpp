// Files of any size are read in the memory of a batch.
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include <doctest/doctest.h>

#include "record_support.h"

using namespace emshap;
using namespace emshap::stream;
using namespace emshap::test;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::int64_t file_bytes = 4 << 20;  // sanitizers keep freed memory
#else
constexpr std::int64_t file_bytes = 80 << 20;
#endif

// The largest resident memory so far, or since reset_peak() where the kernel has it.
std::int64_t peak_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind("VmHWM:", 0) == 0) return std::atoll(line.c_str() + 6) * 1024;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
}
void reset_peak() {
  std::ofstream("/proc/self/clear_refs") << "5";
}

// `start`, then `piece` again and again: a file that exists only while it is read.
ByteReader endless(const std::string& start, const std::string& piece) {
  return [=, at = std::int64_t{0}](char* buffer, std::size_t capacity) mutable -> std::size_t {
    const std::size_t count = static_cast<std::size_t>(std::min<std::int64_t>(
        static_cast<std::int64_t>(capacity), std::max<std::int64_t>(file_bytes - at, 0)));
    for (std::size_t done = 0; done < count;) {
      const auto place = static_cast<std::size_t>(at);
      const std::string& from = place < start.size() ? start : piece;
      const std::size_t in = place < start.size() ? place : (place - start.size()) % piece.size();
      const std::size_t part = std::min(from.size() - in, count - done);
      std::memcpy(buffer + done, from.data() + in, part);
      done += part;
      at += static_cast<std::int64_t>(part);
    }
    return count;
  };
}

void check_flat(const std::string& start, const std::string& piece, RecordFormat format,
                std::int64_t least_records) {
  CAPTURE(std::string(to_string(format)));
  RecordOptions options;
  options.format = format;
  reset_peak();
  const std::int64_t before = peak_bytes();
  const auto reader = open_records("generated", endless(start, piece), options);
  Batch batch;
  while (reader->next(10'000, test_now, batch)) {
  }
  CHECK(reader->offset() >= least_records);
  const std::int64_t grown = peak_bytes() - before;
  CHECK_MESSAGE(grown < (40 << 20), "grown by ", grown >> 20, " MiB");
}

}  // namespace

TEST_SUITE("record reader memory") {
  TEST_CASE("good records, poison, and a record without end") {
    const std::string message = message_of(full_sample());
    check_flat("", delimited(message), RecordFormat::protobuf,
               file_bytes / static_cast<std::int64_t>(delimited(message).size()) - 1);
    check_flat("", delimited(std::string(900'000, '\xff')), RecordFormat::protobuf, file_bytes / 900'010);
    check_flat("", Wire().bytes(9, std::string(1000, 'x')).str(), RecordFormat::batch, 0);
    check_flat(Wire().varint((1U << 31) - 1).str(), "x", RecordFormat::protobuf, 0);
    check_flat("time,node_id\n", "x", RecordFormat::csv, 0);
    check_flat("", "y", RecordFormat::jsonl, 0);
  }
}
