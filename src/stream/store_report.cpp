// inspect and prune: counts as tables and JSON, times as people write them.
#include "emshap/stream/store_report.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <limits>

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>
#include <nlohmann/json.hpp>

#include "emshap/core/error.h"
#include "emshap/report/text_table.h"
#include "feature_vector.pb.h"

namespace emshap::stream {
namespace {

using report::Align;
using report::TextTable;

std::string hex(std::string_view bytes) {
  std::string out;
  out.reserve(2 * bytes.size());
  for (const char c : bytes) {
    out += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    out += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

bool is_printable(std::string_view bytes) {
  return !bytes.empty() && std::all_of(bytes.begin(), bytes.end(), [](char c) {
    return (c >= ' ' && c <= '~') || c == '\t' || c == '\n' || c == '\r';
  });
}

bool has_unknown_fields(const v1::FeatureVector& message) {
  return !message.GetReflection()->GetUnknownFields(message).empty();
}

std::optional<std::string> as_message(std::string_view bytes) {
  v1::FeatureVector message;
  if (bytes.empty() || bytes.size() > std::size_t{std::numeric_limits<int>::max()} ||
      !message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || has_unknown_fields(message))
    return std::nullopt;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string out;
  if (!google::protobuf::util::MessageToJsonString(message, &out, options).ok()) return std::nullopt;
  return out;
}

std::string cut(std::string text) {
  constexpr std::size_t most = 200;
  std::string out = report::printable(text);
  if (out.size() <= most) return out;
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xC0) == 0x80) --end;
  return out.substr(0, end) + "...";
}

nlohmann::ordered_json time_json(const StoreSummary& s, std::int64_t time) {
  if (s.samples == 0) return nullptr;
  return time;
}

}  // namespace

std::string shown_bytes(std::string_view bytes) {
  if (std::optional<std::string> message = as_message(bytes)) return *message;
  return is_printable(bytes) ? std::string(bytes) : hex(bytes);
}

StoreReport inspect_store(FeatureStore& store, std::int64_t quarantine) {
  StoreReport out;
  out.summary = store.summary();
  if (quarantine > 0)
    store.scan_quarantine(quarantine, [&](const Quarantined& q) { out.quarantine.push_back(q); });
  return out;
}

std::string report_text(const StoreReport& all) {
  const StoreSummary& s = all.summary;
  std::string out =
      fmt::format("{} ({}, schema version {}, {})\n", s.location, s.engine, s.version, s.schema_hash);
  out += fmt::format("samples: {}", s.samples);
  if (s.samples > 0) out += fmt::format(", {} to {}", utc_text(s.first_time), utc_text(s.last_time));
  out += '\n';
  if (!s.partitions.empty()) {
    TextTable table({{"topic", Align::left},
                     {"partition"},
                     {"next offset"},
                     {"samples"},
                     {"quarantined"},
                     {"missed in gaps"}});
    for (const StoreSummary::Partition& p : s.partitions)
      table.add_row({p.topic, std::to_string(p.partition), std::to_string(p.next_offset),
                     std::to_string(p.samples), std::to_string(p.quarantined), std::to_string(p.missed)});
    out += '\n' + table.str();
  }
  if (!s.nodes.empty()) {
    TextTable table({{"node", Align::left}, {"samples"}});
    std::int64_t listed = 0;
    for (const auto& [node, samples] : s.nodes) {
      table.add_row({node, std::to_string(samples)});
      listed += samples;
    }
    if (listed < s.samples) table.add_row({"(further nodes)", std::to_string(s.samples - listed)});
    out += '\n' + table.str();
  }
  if (!s.rejected.empty()) {
    TextTable table({{"quarantined because", Align::left}, {"messages"}});
    for (const auto& [reason, count] : s.rejected) table.add_row({reason, std::to_string(count)});
    out += '\n' + table.str();
  }
  if (!all.quarantine.empty()) {
    TextTable table({{"topic", Align::left},
                     {"partition"},
                     {"offset"},
                     {"stored at", Align::left},
                     {"reason", Align::left},
                     {"detail", Align::left},
                     {"bytes", Align::left}});
    for (const Quarantined& q : all.quarantine)
      table.add_row({q.topic, std::to_string(q.partition), std::to_string(q.offset), utc_text(q.stored_at),
                     q.reason, cut(q.detail), cut(shown_bytes(q.bytes))});
    out += '\n' + table.str();
  }
  return out;
}

std::string report_json(const StoreReport& all) {
  const StoreSummary& s = all.summary;
  nlohmann::ordered_json j = {{"location", s.location},
                              {"engine", s.engine},
                              {"version", s.version},
                              {"schema_hash", s.schema_hash},
                              {"samples", s.samples},
                              {"first_time", time_json(s, s.first_time)},
                              {"last_time", time_json(s, s.last_time)},
                              {"nodes", nlohmann::ordered_json::object()},
                              {"quarantined", nlohmann::ordered_json::object()},
                              {"partitions", nlohmann::ordered_json::array()}};
  for (const auto& [node, samples] : s.nodes) j["nodes"][node] = samples;
  for (const auto& [reason, count] : s.rejected) j["quarantined"][reason] = count;
  for (const StoreSummary::Partition& p : s.partitions)
    j["partitions"].push_back({{"topic", p.topic},
                               {"partition", p.partition},
                               {"next_offset", p.next_offset},
                               {"samples", p.samples},
                               {"quarantined", p.quarantined},
                               {"missed", p.missed}});
  if (!all.quarantine.empty()) j["quarantine"] = nlohmann::ordered_json::array();
  for (const Quarantined& q : all.quarantine) {
    nlohmann::ordered_json one = {{"topic", q.topic},        {"partition", q.partition},
                                  {"offset", q.offset},      {"stored_at", q.stored_at},
                                  {"reason", q.reason},      {"detail", q.detail},
                                  {"bytes", q.bytes.size()}, {"hex", hex(q.bytes)}};
    if (const std::optional<std::string> message = as_message(q.bytes))
      one["message"] = nlohmann::ordered_json::parse(*message, nullptr, false);
    j["quarantine"].push_back(std::move(one));
  }
  return j.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::int64_t parse_older_than(const std::string& text, std::int64_t now) {
  constexpr std::pair<char, std::int64_t> units[] = {
      {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 7 * 86400}};
  const auto fail = [&](const std::string& what) {
    return ConfigError(fmt::format("the time '{}' {}", text, what));
  };
  std::int64_t count = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, count);
  if (error == std::errc() && end + 1 == last && count >= 0)
    for (const auto& [letter, seconds] : units)
      if (*end == letter) {
        if (count > now / seconds) throw fail("is before 1970, expected a later one");
        return now - count * seconds;
      }
  const std::optional<std::int64_t> time = parse_unix_seconds(text);
  if (!time) throw fail("is not understood, expected e.g. 30d, 12h, 2025-01-31 or Unix seconds");
  if (*time > now) throw fail("has not come yet, expected one before now");
  return *time;
}

std::string utc_text(std::int64_t unix_seconds) {
  using namespace std::chrono;
  // Years that year_month_day holds.
  constexpr std::int64_t most = std::int64_t{86400} * 365 * 30000;
  if (unix_seconds > most || unix_seconds < -most) return std::to_string(unix_seconds);
  const sys_seconds time{seconds(unix_seconds)};
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

}  // namespace emshap::stream
