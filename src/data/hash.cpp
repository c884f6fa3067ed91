#include "emshap/data/hash.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace emshap {

void Hash64::number(double value) {
  if (std::isnan(value)) value = std::numeric_limits<double>::quiet_NaN();
  word(std::bit_cast<std::uint64_t>(value));
}

void Hash64::numbers(std::span<const double> values) {
  word(values.size());
  for (double v : values) number(v);
}

void Hash64::text(std::string_view bytes) {
  word(bytes.size());
  const char* p = bytes.data();
  std::size_t left = bytes.size();
  // Little-endian words, whatever the machine.
  const auto load = [](const char* from, std::size_t count) {
    std::uint64_t value = 0;
    std::memcpy(&value, from, count);
    if constexpr (std::endian::native == std::endian::big) value = __builtin_bswap64(value);
    return value;
  };
  for (; left >= 8; p += 8, left -= 8) word(load(p, 8));
  if (left > 0) word(load(p, left));
}

std::string Hash64::hex() const {
  std::string text(16, '0');
  for (int i = 0; i < 16; ++i)
    text[static_cast<std::size_t>(i)] = "0123456789abcdef"[state_ >> (60 - 4 * i) & 15];
  return text;
}

}  // namespace emshap
