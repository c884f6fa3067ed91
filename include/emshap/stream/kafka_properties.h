#pragma once
// librdkafka's properties as the apps take them: checked by name, secrets kept apart.
//
// Precedence: defaults of the library < --properties FILE < environment < configuration file < command line.
#include <filesystem>
#include <map>
#include <string>

#include "emshap/core/export.h"

namespace emshap::stream {

/// Values by name: {"security.protocol", "sasl_ssl"}.
using KafkaProperties = std::map<std::string, std::string>;

/// Passwords, private keys, tokens: never logged, reported or saved, and taken only from a file of properties
/// or the environment.
EMSHAP_API bool is_secret(const std::string& name);

/// Adds "KEY=VALUE" of a command line or a configuration file; `where` is for messages: "--property". Throws
/// ConfigError for text without '=', for secrets, and for properties that are ours to set.
EMSHAP_API void add_property(KafkaProperties& properties, const std::string& key_value,
                             const std::string& where);
/// Lines KEY=VALUE, empty ones and # comments; secrets are welcome. Throws IoError, ConfigError.
EMSHAP_API void add_properties_file(KafkaProperties& properties, const std::filesystem::path& file);
/// EMSHAP_KAFKA_SASL_PASSWORD is sasl.password. `environment` as environ(7). Throws ConfigError.
EMSHAP_API void add_properties_environment(KafkaProperties& properties, const char* const* environment);

/// The text with the values of secrets replaced by "***".
EMSHAP_API std::string without_secrets(std::string text, const KafkaProperties& properties);

}  // namespace emshap::stream
