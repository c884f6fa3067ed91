#pragma once
// Text that every engine can store: UTF-8 without zero bytes.
#include <string>
#include <string_view>

namespace emshap::stream {

/// The number of bytes of the well-formed code point at `at` (not NUL); 0 where there is none (Unicode 15,
/// table 3-7).
inline std::size_t code_point_bytes(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned lead = byte(at), second = byte(at + 1);
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  if (lead < 0x80) return lead == 0 ? 0 : 1;
  if (lead < 0xC2 || lead > 0xF4 || !continues(at + 1)) return 0;
  if (lead < 0xE0) return 2;
  if (!continues(at + 2)) return 0;
  if (lead < 0xF0) return (lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ? 0 : 3;
  if (!continues(at + 3)) return 0;
  return (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F) ? 0 : 4;
}

inline bool is_storable(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t bytes = code_point_bytes(text, i);
    if (bytes == 0) return false;
    i += bytes;
  }
  return true;
}

/// Other bytes become '?'.
inline std::string storable(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t bytes = code_point_bytes(text, i);
    result += bytes == 0 ? std::string_view("?") : text.substr(i, bytes);
    i += bytes == 0 ? 1 : bytes;
  }
  return result;
}

}  // namespace emshap::stream
