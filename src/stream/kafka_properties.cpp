#include "emshap/stream/kafka_properties.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include <fmt/format.h>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"

namespace emshap::stream {
namespace {

/// Properties that what we promise depends on, or that have an option of their own.
struct Refused {
  std::string_view name, why;
};
constexpr std::string_view offsets_are_ours =
    "offsets are kept in the store, and Kafka is told after a batch has been written";
constexpr std::array refused{
    Refused{"bootstrap.servers", "use --brokers"},
    Refused{"metadata.broker.list", "use --brokers"},
    Refused{"group.id", "use --group"},
    Refused{"enable.auto.commit", offsets_are_ours},
    Refused{"auto.commit.enable", offsets_are_ours},
    Refused{"auto.commit.interval.ms", offsets_are_ours},
    Refused{"enable.auto.offset.store", offsets_are_ours},
    Refused{"offset.store.method", offsets_are_ours},
    Refused{"offset.store.path", offsets_are_ours},
    Refused{"offset.store.sync.interval.ms", offsets_are_ours},
    Refused{"auto.offset.reset",
            "offsets that are gone are counted as gaps, never passed over; --from says where new partitions "
            "begin"},
    Refused{"enable.partition.eof", "the end of a partition is known without it; use --until-idle"},
    Refused{"log.queue", "librdkafka's lines go to our log"},
};

std::string trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.remove_suffix(1);
  return std::string(text);
}

void set(KafkaProperties& properties, const std::string& name, std::string value, const std::string& where) {
  if (name.empty()) throw ConfigError(fmt::format("{}: a name must stand before '='", where));
  for (const Refused& r : refused)
    if (r.name == name) throw ConfigError(fmt::format("{}: {} cannot be set: {}", where, name, r.why));
  properties[name] = std::move(value);
}

}  // namespace

bool is_secret(const std::string& name) {
  constexpr std::array<std::string_view, 8> parts{"password",           "secret",     "key.pem", "ssl_key",
                                                  "oauthbearer.config", "passphrase", "token",   "kinit"};
  if (name.ends_with(".url") || name.ends_with(".ms")) return false;
  return std::any_of(parts.begin(), parts.end(),
                     [&](std::string_view part) { return name.find(part) != std::string::npos; });
}

void add_property(KafkaProperties& properties, const std::string& key_value, const std::string& where) {
  const std::string text = trimmed(key_value);
  const std::size_t equals = text.find('=');
  // Where '=' is missing a value may stand behind a blank.
  const std::string name = text.substr(0, std::min(equals, text.find_first_of(" \t:")));
  if (is_secret(name)) {
    std::string variable = name;
    std::transform(variable.begin(), variable.end(), variable.begin(),
                   [](unsigned char c) { return c == '.' ? '_' : static_cast<char>(std::toupper(c)); });
    throw ConfigError(fmt::format(
        "{}: {} is a secret and would be seen by others; give it in a file named by --properties, "
        "or in the environment as EMSHAP_KAFKA_{}",
        where, name, variable));
  }
  if (equals == std::string::npos) throw ConfigError(fmt::format("{}: '{}' is not KEY=VALUE", where, name));
  set(properties, name, trimmed(std::string_view(text).substr(equals + 1)), where);
}

void add_properties_file(KafkaProperties& properties, const std::filesystem::path& file) {
  const std::string content = read_file(file);
  std::int64_t number = 0;
  for (std::size_t begin = 0; begin < content.size();) {
    const std::size_t end = std::min(content.find('\n', begin), content.size());
    const std::string line = trimmed(std::string_view(content).substr(begin, end - begin));
    begin = end + 1;
    ++number;
    if (line.empty() || line[0] == '#') continue;
    const std::string where = fmt::format("{}: line {}", file.string(), number);
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos)  // the line is not shown: it may be a part of a secret
      throw ConfigError(fmt::format("{}: not KEY=VALUE", where));
    set(properties, trimmed(std::string_view(line).substr(0, equals)),
        trimmed(std::string_view(line).substr(equals + 1)), where);
  }
}

void add_properties_environment(KafkaProperties& properties, const char* const* environment) {
  constexpr std::string_view prefix = "EMSHAP_KAFKA_";
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    const std::string_view entry = *environment;
    if (!entry.starts_with(prefix)) continue;
    const std::size_t equals = entry.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string variable(entry.substr(0, equals));
    std::string name = variable.substr(prefix.size());
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return c == '_' ? '.' : static_cast<char>(std::tolower(c)); });
    set(properties, name, std::string(entry.substr(equals + 1)), "environment variable " + variable);
  }
}

std::string without_secrets(std::string text, const KafkaProperties& properties) {
  for (const auto& [name, value] : properties) {
    if (!is_secret(name) || value.empty()) continue;
    for (std::size_t at = 0; (at = text.find(value, at)) != std::string::npos; at += 3)
      text.replace(at, value.size(), "***");
  }
  return text;
}

}  // namespace emshap::stream
