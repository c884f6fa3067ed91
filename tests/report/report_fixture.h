#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "emshap/core/progress.h"
#include "report/child_process.h"

namespace emshap::test {

/// Keeps log lines.
struct RecordingSink : ProgressSink {
  std::vector<std::string> warnings;
  void log(LogLevel level, const std::string& text) override {
    if (level >= LogLevel::warning) warnings.push_back(text);
  }
};

inline bool have_gnuplot() {
  return !report::find_program("gnuplot").empty();
}

/// Skips the rest of a test case, visibly, where gnuplot is missing.
#define EMSHAP_NEEDS_GNUPLOT()                      \
  do {                                              \
    if (!::emshap::test::have_gnuplot()) {          \
      MESSAGE("skipped: gnuplot is not installed"); \
      return;                                       \
    }                                               \
  } while (false)

}  // namespace emshap::test
