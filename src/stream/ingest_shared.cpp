#include "stream/ingest_shared.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace emshap::stream {

void add(IngestReport& r, const Written& w, ProgressSink& sink) {
  r.stored += w.stored;
  r.rejected += w.rejected;
  r.repeated += w.repeated;
  r.discarded += w.discarded;
  r.gaps += w.gaps;
  r.missed += w.missed;
  r.batches += w.batches;
  r.conflicts += w.conflicts;
  r.store_retries += w.retries;
  for (std::size_t i = 0; i < reason_count; ++i) r.reasons[i] += w.reasons[i];
  for (const auto& [partition, offset] : w.positions) r.positions[partition] = offset;
  for (const auto& [level, line] : w.lines) sink.log(level, line);
}

std::string standing(const IngestReport& r) {
  std::string parts;
  std::size_t shown = 0;
  for (const auto& [partition, offset] : r.positions) {
    if (++shown > 4) {
      parts += ", ...";
      break;
    }
    parts += fmt::format("{}{} up to {}", parts.empty() ? "partition " : ", ", partition, offset);
  }
  return fmt::format("{} records of this run are in it{}", r.stored + r.rejected + r.repeated,
                     parts.empty() ? "" : fmt::format(" ({})", parts));
}

Progress progress_of(const IngestReport& r, std::int64_t total) {
  Progress p{"ingesting", r.received, total, "message", {}};
  p.values = {{"stored", static_cast<double>(r.stored)}, {"rejected", static_cast<double>(r.rejected)}};
  if (r.repeated > 0) p.values.emplace_back("repeated", static_cast<double>(r.repeated));
  if (r.lag >= 0) p.values.emplace_back("lag", static_cast<double>(r.lag));
  return p;
}

void warn_of_zeros(IngestReport& r, const Presence& presence, Absent absent, ProgressSink& sink) {
  if (absent == Absent::zero || !r.perhaps_zero.empty()) return;
  r.perhaps_zero = perhaps_zero(presence);
  if (r.perhaps_zero.empty()) return;
  sink.log(
      LogLevel::warning,
      fmt::format("{}: {} often absent and never zero; if the producers leave out zeros, use --absent zero",
                  r.topic, fmt::join(r.perhaps_zero, ", ")));
}

}  // namespace emshap::stream
