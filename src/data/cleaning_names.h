#pragma once
// Names of derived features.
#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace emshap::cleaning {

inline constexpr std::array<const char*, 3> calendar_names{"hour", "day_of_week", "weekend"};

inline std::string lag_name(const std::string& metric, std::int64_t lag) {
  return metric + "_lag" + std::to_string(lag);
}
inline std::string mean_name(const std::string& metric, std::int64_t window) {
  return metric + "_mean" + std::to_string(window);
}
inline std::string deviation_name(const std::string& metric, std::int64_t window) {
  return metric + "_std" + std::to_string(window);
}
/// "a*b" gives {"a", "b"}.
inline std::vector<std::string> factors_of(const std::string& product) {
  std::vector<std::string> parts(1);
  for (const char c : product) {
    if (c == '*')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

}  // namespace emshap::cleaning
