// The counts of a run as text and as JSON.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "emshap/core/error.h"
#include "emshap/stream/ingest.h"

namespace emshap::stream {

From parse_from(const std::string& text) {
  if (text == "beginning") return From::beginning;
  if (text == "end") return From::end;
  throw ConfigError(fmt::format("--from is '{}', expected beginning or end", text));
}

std::string to_text(const IngestReport& r) {
  std::string out = fmt::format("{} -> {}: {} after {:.1f} s, {:.0f} messages/s, {} batches\n", r.topic,
                                r.store, r.ended.empty() ? "ended" : r.ended, r.seconds, r.rate(), r.batches);
  const auto line = [&](const char* name, std::int64_t value, const char* note = "") {
    out += fmt::format("  {:<26} {:>12}{}{}\n", name, value, *note != '\0' ? "  " : "", note);
  };
  line("received", r.received);
  line("stored", r.stored);
  line("rejected", r.rejected, r.rejected > 0 ? "in quarantine" : "");
  for (std::size_t i = 0; i < reason_count; ++i)
    if (r.reasons[i] > 0) line(fmt::format("  {}", to_string(static_cast<Reason>(i))).c_str(), r.reasons[i]);
  line("repeated", r.repeated);
  line("discarded", r.discarded, r.discarded > 0 ? "read again by whoever has the partition" : "");
  if (r.gaps > 0) line("gaps", r.gaps, fmt::format("{} records missed", r.missed).c_str());
  if (r.conflicts > 0) line("conflicts", r.conflicts);
  if (r.rebalances > 0) line("rebalances", r.rebalances);
  if (r.outages > 0) line("outages", r.outages);
  if (r.store_retries > 0) line("store retries", r.store_retries);
  if (r.commits_failed > 0) line("commits failed", r.commits_failed, "Kafka's, a hint only");
  if (r.lag >= 0) line("lag", r.lag);
  out += fmt::format("received {} {} stored {} + rejected {} + repeated {} + discarded {}\n", r.received,
                     r.adds_up() ? "=" : "differs from", r.stored, r.rejected, r.repeated, r.discarded);
  return out;
}

std::string to_json(const IngestReport& r) {
  nlohmann::ordered_json j{{"topic", r.topic},
                           {"store", r.store},
                           {"ended", r.ended},
                           {"seconds", r.seconds},
                           {"rate", r.rate()},
                           {"received", r.received},
                           {"stored", r.stored},
                           {"rejected", r.rejected},
                           {"repeated", r.repeated},
                           {"discarded", r.discarded},
                           {"adds_up", r.adds_up()},
                           {"gaps", r.gaps},
                           {"missed", r.missed},
                           {"conflicts", r.conflicts},
                           {"rebalances", r.rebalances},
                           {"outages", r.outages},
                           {"store_retries", r.store_retries},
                           {"commits_failed", r.commits_failed},
                           {"batches", r.batches},
                           {"bytes", r.bytes}};
  if (r.lag >= 0) j["lag"] = r.lag;
  auto& reasons = j["reasons"] = nlohmann::ordered_json::object();
  for (std::size_t i = 0; i < reason_count; ++i)
    if (r.reasons[i] > 0) reasons[to_string(static_cast<Reason>(i))] = r.reasons[i];
  auto& positions = j["positions"] = nlohmann::ordered_json::object();
  for (const auto& [partition, offset] : r.positions) positions[std::to_string(partition)] = offset;
  j["perhaps_zero"] = r.perhaps_zero;
  return j.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace emshap::stream
