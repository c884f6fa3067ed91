// Reading a CSV needs the memory of its table and little more.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "data_support.h"

using namespace emshap;
using namespace emshap::test;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;  // sanitizers keep freed memory
#else
constexpr bool sanitized = false;
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

}  // namespace

TEST_CASE("csv: the peak of memory is the table and at most 64 MiB") {
  // A file that exists only while it is read: a line of 9 bytes for 8 bytes of table.
  constexpr std::int64_t rows = sanitized ? 100'000 : 12'000'000;
  const std::string header = "x,y\n", line = "1234,567\n";
  std::int64_t left = rows * static_cast<std::int64_t>(line.size());
  bool started = false;
  ByteReader reader = [&](char* buffer, std::size_t capacity) -> std::size_t {
    if (!started) {
      started = true;
      std::memcpy(buffer, header.data(), header.size());
      return header.size();
    }
    std::size_t count = 0;
    while (left > 0 && count + line.size() <= capacity) {
      std::memcpy(buffer + count, line.data(), line.size());
      count += line.size();
      left -= static_cast<std::int64_t>(line.size());
    }
    if (left > 0 && count == 0) {  // little room is left in the buffer: hand out a blank, which cells ignore
      buffer[0] = ' ';
      count = 1;
    }
    return count;
  };
  ColumnSelection selection;
  selection.target = "y";
  reset_peak();
  const std::int64_t before = peak_bytes();
  CsvSource source("generated.csv", reader, selection);
  const Table table = read_all(source);
  CHECK(table.rows() == rows);
  CHECK(table.column("x").f32()[static_cast<std::size_t>(rows - 1)] == 1234);
  const std::int64_t grown = peak_bytes() - before;
  MESSAGE("table " << table.bytes() << " bytes, peak " << grown << " bytes");
  if (!sanitized) CHECK(grown <= table.bytes() + (std::int64_t{64} << 20));
}
