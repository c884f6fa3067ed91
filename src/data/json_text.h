#pragma once
// The few lines that write JSON without a library, so that fitted steps can be saved in every build.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace emshap::json_text {

/// The shortest text that reads back to the same double; null for NaN and infinity.
std::string number(double value);
/// In quotes, control characters escaped.
std::string quote(std::string_view text);
std::string list(std::span<const double> values);
std::string list(std::span<const std::int64_t> values);
std::string list(std::span<const std::string> values);

}  // namespace emshap::json_text
