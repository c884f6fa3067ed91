#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace emshap::report {

inline constexpr char32_t invalid_code_point = 0xFFFFFFFF;

/// Decodes the code point at `position` and moves past it. A byte that starts no valid sequence (overlong
/// forms, surrogates and values above U+10FFFF included) gives invalid_code_point and moves on by one.
inline char32_t next_code_point(std::string_view text, std::size_t& position) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned lead = byte(position);
  if (lead < 0x80) return static_cast<char32_t>(text[position++]);
  const int extra = lead >= 0xF0 && lead < 0xF5   ? 3
                    : lead >= 0xE0 && lead < 0xF0 ? 2
                    : lead >= 0xC2 && lead < 0xE0 ? 1
                                                  : 0;
  char32_t value = lead & (0x3FU >> extra);
  for (int i = 1; i <= extra; ++i) {
    const unsigned next = byte(position + static_cast<std::size_t>(i));
    if ((next & 0xC0U) != 0x80U) {
      ++position;
      return invalid_code_point;
    }
    value = value << 6U | (next & 0x3FU);
  }
  const bool overlong = (extra == 2 && value < 0x800) || (extra == 3 && value < 0x10000);
  if (extra == 0 || overlong || (value >= 0xD800 && value < 0xE000) || value > 0x10FFFF) {
    ++position;
    return invalid_code_point;
  }
  position += static_cast<std::size_t>(extra) + 1;
  return value;
}

/// C0, DEL, C1, the line and paragraph separators and the noncharacters that XML 1.0 forbids.
inline bool is_control(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x2028 || c == 0x2029 || (c & 0xFFFE) == 0xFFFE;
}

}  // namespace emshap::report
