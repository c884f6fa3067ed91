#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "stream/checks.h"
#include "stream/record_parser.h"

namespace emshap::stream {
namespace {

using Json = nlohmann::json;

class JsonParser final : public RecordParser {
 public:
  explicit JsonParser(const RecordOptions& options) : checks_(options.acceptance) {}

  void parse(std::string_view bytes, std::int64_t offset, std::int64_t now, Batch& batch) override {
    const Json object = Json::parse(bytes.begin(), bytes.end(), nullptr, false);
    Sample& sample = batch.samples.emplace_back();
    sample.offset = offset;
    std::string wrong = read(object, sample);
    if (wrong.empty()) return checks_.settle(measured(sample), extra_, bytes, now, batch);
    batch.samples.pop_back();
    Checks::reject(0, offset, Reason::not_a_message, std::move(wrong), bytes, batch);
  }
  const Presence& presence() const override { return checks_.presence(); }

 private:
  static std::string no_number(const std::string& name, const Json& value) {
    return fmt::format("{}: {} is not a number", shown(name), value.type_name());
  }

  // Returns what is wrong, or nothing. extra_ then looks into `object`.
  std::string read(const Json& object, Sample& sample) {
    if (object.is_discarded()) return "the line does not parse as JSON";
    if (!object.is_object())
      return fmt::format("the line is a JSON {}, expected an object", object.type_name());
    sample.metrics.fill(not_measured);
    extra_.clear();
    for (const auto& [name, value] : object.get_ref<const Json::object_t&>()) {
      if (value.is_null()) continue;
      if (name == "time") {
        if (!read_time(value, sample.time)) return "time is not a time";
      } else if (name == "node_id") {
        if (!value.is_string()) return "node_id is not a text";
        sample.node_id = value.get_ref<const std::string&>();
      } else if (name == "power_consumption") {
        if (!value.is_number()) return no_number(name, value);
        sample.power_consumption = number(value);
      } else if (name == "extra") {
        continue;
      } else if (const auto m = std::find(metric_names.begin(), metric_names.end(), name);
                 m != metric_names.end()) {
        if (!value.is_number()) return no_number(name, value);
        sample.metrics[static_cast<std::size_t>(m - metric_names.begin())] = number(value);
      } else if (value.is_number()) {
        extra_.push_back({name, number(value)});
      }
    }
    const auto extra = object.find("extra");
    return extra == object.end() || extra->is_null() ? std::string() : read_further(*extra);
  }

  // A name that stands beside `extra` as well has the value that is in it.
  std::string read_further(const Json& extra) {
    if (!extra.is_object()) return fmt::format("extra is a JSON {}, expected an object", extra.type_name());
    for (const auto& [name, value] : extra.get_ref<const Json::object_t&>()) {
      if (value.is_null()) continue;
      if (!value.is_number()) return no_number(name, value);
      const auto same =
          std::find_if(extra_.begin(), extra_.end(), [&](const ExtraValue& e) { return e.name == name; });
      if (same != extra_.end())
        same->value = number(value);
      else
        extra_.push_back({name, number(value)});
    }
    return {};
  }

  static float number(const Json& value) { return static_cast<float>(value.get<double>()); }

  static bool read_time(const Json& value, std::int64_t& seconds) {
    constexpr auto most = std::numeric_limits<std::int64_t>::max();
    if (value.is_string()) return read_seconds(value.get_ref<const std::string&>(), seconds);
    if (value.is_number_unsigned()) {
      seconds = static_cast<std::int64_t>(std::min<std::uint64_t>(value.get<std::uint64_t>(), most));
    } else if (value.is_number_integer()) {
      seconds = value.get<std::int64_t>();
    } else if (value.is_number_float()) {
      const double exact = std::floor(value.get<double>());
      // 2^63 and beyond do not fit; such a time is rejected either way.
      seconds = exact >= 0x1p63 ? most : exact < -0x1p63 ? -most : static_cast<std::int64_t>(exact);
    } else {
      return false;
    }
    return true;
  }

  Checks checks_;
  std::vector<ExtraValue> extra_;
};

}  // namespace

bool is_json_object(std::string_view line) {
  const std::size_t first = line.find_first_not_of(" \t");
  return first != std::string_view::npos && line[first] == '{' && Json::accept(line.begin(), line.end());
}

std::unique_ptr<RecordParser> json_parser(const RecordOptions& options) {
  return std::make_unique<JsonParser>(options);
}

}  // namespace emshap::stream
