#pragma once
// What the ways in of topics and files share: taking over what the writer has done, into report and log.
#include <chrono>
#include <string>

#include "batch_writer.h"
#include "emshap/stream/ingest.h"

namespace emshap::stream {

using Clock = std::chrono::steady_clock;
inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}
inline std::int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// Adds to the report and passes the lines on.
void add(IngestReport& report, const Written& written, ProgressSink& sink);
/// "120000 records are in features.db (partition 0 up to 3400, 1 up to 3380, ...)"
std::string standing(const IngestReport& report);
/// One report of where the work stands.
Progress progress_of(const IngestReport& report, std::int64_t total);
/// Warns, once, of metrics that are often absent and never zero.
void warn_of_zeros(IngestReport& report, const Presence& presence, Absent absent, ProgressSink& sink);

}  // namespace emshap::stream
