#pragma once
// Reading members of a JSON object with one-sentence errors.
#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "emshap/core/error.h"

namespace emshap::json_read {

using Json = nlohmann::json;
using Names = std::vector<std::string>;
using Numbers = std::vector<double>;
using Counts = std::vector<std::int64_t>;

inline Json parse(const std::string& text) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) throw IoError("the text is not valid JSON, it may be cut off");
  return json;
}

inline const Json& member(const Json& json, const char* key) {
  if (!json.is_object() || !json.contains(key)) throw IoError(fmt::format("the key \"{}\" is missing", key));
  return json.at(key);
}

/// null stands for NaN among doubles.
template <class T>
T value(const Json& json, const char* key) {
  const Json& found = member(json, key);
  try {
    if constexpr (std::is_same_v<T, Numbers>) {
      T values;
      if (!found.is_array()) throw IoError("");
      for (const Json& v : found)
        values.push_back(v.is_null() ? std::numeric_limits<double>::quiet_NaN() : v.get<double>());
      return values;
    } else {
      return found.get<T>();
    }
  } catch (const std::exception&) {
    throw IoError(fmt::format("the key \"{}\" holds a value of the wrong type", key));
  }
}

}  // namespace emshap::json_read
