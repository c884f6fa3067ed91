#include "stream/checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

#include "emshap/core/error.h"

namespace emshap::stream {
namespace {

// Longer names than any host has (DNS: 253) do not fit into a database's index.
constexpr std::size_t longest_name = 255;
constexpr float largest = std::numeric_limits<float>::max();

constexpr auto lowest = [] {
  std::array<float, metric_count> bounds{};
  for (std::size_t m = 0; m < metric_count; ++m)
    bounds[m] = std::string_view(metric_names[m]).starts_with("temp_") ? -largest : 0.0f;
  return bounds;
}();

std::string name_problem(std::string_view what, std::string_view name) {
  if (name.size() > longest_name)
    return fmt::format("{} has {} bytes, expected at most {}", what, name.size(), longest_name);
  if (has_control(name)) return fmt::format("{} has a control character", what);
  return {};
}

// Senders mistake the unit of time.
const char* unit_hint(std::int64_t time, std::int64_t latest) {
  if (time / 1'000 <= latest) return ", perhaps milliseconds";
  if (time / 1'000'000 <= latest) return ", perhaps microseconds";
  return time / 1'000'000'000 <= latest ? ", perhaps nanoseconds" : "";
}

void append_json(std::span<const ExtraValue> extra, std::string& out) {
  char separator = '{';
  for (const ExtraValue& e : extra) {
    out += separator;
    separator = ',';
    if (e.name.find_first_of("\"\\") == std::string_view::npos) {
      out += '"';
      out += e.name;
      out += '"';
    } else {
      out += nlohmann::json(e.name).dump();
    }
    out += ':';
    char digits[32];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, e.value).ptr);
  }
  out += '}';
}

}  // namespace

struct Checks::Finding {
  Reason reason;
  std::string detail;
};

Checks::Checks(Acceptance acceptance) : acceptance_(std::move(acceptance)) {}

// The first reason against a message, in the order of docs/formats.md. Only messages that end in quarantine
// pay for its words.
bool Checks::find(const Sample& s, std::uint32_t present, std::span<const ExtraValue> extra, std::int64_t now,
                  Finding& f) const {
  const auto found = [&](Reason reason, std::string detail) {
    f = {reason, std::move(detail)};
    return true;
  };
  if (s.node_id.empty()) return found(Reason::no_node, "node_id is absent or empty");
  if (std::string wrong = name_problem("node_id", s.node_id); !wrong.empty())
    return found(Reason::no_node, std::move(wrong));
  if (s.time <= 0)
    return found(Reason::no_time, s.time == 0 ? "time is absent or 0" : fmt::format("time is {}", s.time));
  // Both are positive, so nothing overflows.
  const std::int64_t clock = std::max<std::int64_t>(now, 0);
  if (s.time > clock && s.time - clock > acceptance_.future_seconds)
    return found(
        Reason::future_time,
        fmt::format("time {} is {} s later than now{}", s.time, s.time - clock,
                    unit_hint(s.time, clock + std::max<std::int64_t>(acceptance_.future_seconds, 0))));
  if (!acceptance_.nodes.empty() && !acceptance_.nodes.contains(s.node_id))
    return found(Reason::unknown_node, fmt::format("node '{}' is not in the list", s.node_id));
  for (const ExtraValue& e : extra)
    if (std::string wrong = name_problem("a name in extra", e.name); e.name.empty() || !wrong.empty())
      return found(Reason::not_a_message, e.name.empty() ? "a name in extra is empty" : std::move(wrong));

  const auto measured_bit = [&](std::size_t m) { return (present >> m & 1U) != 0; };
  const auto value = [](std::string_view name, float v) { return fmt::format("{} is {}", name, v); };
  const bool target = (present & target_bit) != 0;
  if (target && !std::isfinite(s.power_consumption))
    return found(Reason::not_finite, value("power_consumption", s.power_consumption));
  for (std::size_t m = 0; m < metric_count; ++m)
    if (measured_bit(m) && !std::isfinite(s.metrics[m]))
      return found(Reason::not_finite, value(metric_names[m], s.metrics[m]));
  for (const ExtraValue& e : extra)
    if (!std::isfinite(e.value)) return found(Reason::not_finite, value(e.name, e.value));
  if (target && s.power_consumption < 0)
    return found(Reason::negative_value, value("power_consumption", s.power_consumption));
  for (std::size_t m = 0; m < metric_count; ++m)
    if (measured_bit(m) && s.metrics[m] < lowest[m])
      return found(Reason::negative_value, value(metric_names[m], s.metrics[m]));
  return false;
}

void Checks::settle(std::uint32_t present, std::span<ExtraValue> extra, std::string_view bytes,
                    std::int64_t now, Batch& batch) {
  Sample& s = batch.samples.back();
  if (extra.size() > 1)
    std::sort(extra.begin(), extra.end(), [](const auto& a, const auto& b) { return a.name < b.name; });

  Finding finding{};
  if (find(s, present, extra, now, finding)) {
    reject(s.partition, s.offset, finding.reason, std::move(finding.detail), bytes, batch);
    batch.samples.pop_back();
    return;
  }
  ++presence_.messages;
  if ((present & target_bit) == 0) s.power_consumption = not_measured;
  const float absent = acceptance_.absent == Absent::zero ? 0.0f : not_measured;
  for (std::size_t m = 0; m < metric_count; ++m) {
    const bool is = (present >> m & 1U) != 0;
    presence_.absent[m] += !is;
    presence_.zero[m] += is && s.metrics[m] == 0;
    s.metrics[m] = is ? s.metrics[m] : absent;
  }
  if (!extra.empty()) append_json(extra, s.extra);
}

void Checks::reject(std::int32_t partition, std::int64_t offset, Reason reason, std::string detail,
                    std::string_view bytes, Batch& batch) {
  batch.rejected.push_back({.offset = offset,
                            .partition = partition,
                            .reason = reason,
                            .detail = std::move(detail),
                            .bytes = std::string(bytes)});
}

void check_limits(const Acceptance& acceptance) {
  if (acceptance.most_bytes < 1 || acceptance.most_bytes > std::numeric_limits<int>::max())
    throw ConfigError(fmt::format("a message may have at most {} bytes, expected 1 to {}",
                                  acceptance.most_bytes, std::numeric_limits<int>::max()));
}

std::uint32_t measured(const Sample& sample) {
  std::uint32_t bits = std::isnan(sample.power_consumption) ? 0 : target_bit;
  for (std::size_t m = 0; m < metric_count; ++m)
    bits |= static_cast<std::uint32_t>(!std::isnan(sample.metrics[m])) << m;
  return bits;
}

bool valid_utf8(std::string_view text) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 128; }))
    return true;
  try {
    (void)nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 32; });
}

std::vector<ExtraValue> read_extra(const std::string& json, std::vector<std::string>& names) {
  std::vector<ExtraValue> values;
  names.clear();
  if (json.empty()) return values;
  const auto object = nlohmann::json::parse(json, nullptr, false);
  if (!object.is_object()) throw DataError("extra is not a JSON object, expected further metrics by name");
  names.reserve(object.size());  // so that views stay valid
  for (const auto& [name, value] : object.items()) {
    if (!value.is_number()) throw DataError("extra has a value that is not a number, expected numbers");
    names.push_back(name);
    values.push_back({names.back(), static_cast<float>(value.get<double>())});
  }
  return values;
}

}  // namespace emshap::stream
