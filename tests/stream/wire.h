#pragma once
// Messages written byte by byte, after protobuf's description of its wire format: what other producers,
// older, newer and broken ones, send.
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace emshap::test {

class Wire {
 public:
  enum Type : std::uint32_t {
    varint_type = 0,
    fixed64_type = 1,
    bytes_type = 2,
    start_group = 3,
    end_group = 4,
    fixed32_type = 5
  };

  Wire& varint(std::uint64_t value) {
    for (; value >= 128; value >>= 7) out_ += static_cast<char>((value & 127) | 128);
    out_ += static_cast<char>(value);
    return *this;
  }
  Wire& key(std::uint32_t number, std::uint32_t type) { return varint(number << 3 | type); }
  Wire& integer(std::uint32_t number, std::int64_t value) {
    return key(number, varint_type).varint(static_cast<std::uint64_t>(value));
  }
  Wire& bytes(std::uint32_t number, std::string_view value) {
    key(number, bytes_type).varint(value.size());
    out_ += value;
    return *this;
  }
  Wire& number(std::uint32_t field, float value) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, 4);
    return fixed32(field, bits);
  }
  Wire& fixed32(std::uint32_t field, std::uint32_t bits) {
    key(field, fixed32_type);
    for (int i = 0; i < 4; ++i) out_ += static_cast<char>(bits >> 8 * i & 255);
    return *this;
  }
  Wire& fixed64(std::uint32_t field, std::uint64_t bits) {
    key(field, fixed64_type);
    for (int i = 0; i < 8; ++i) out_ += static_cast<char>(bits >> 8 * i & 255);
    return *this;
  }
  Wire& raw(std::string_view value) {
    out_ += value;
    return *this;
  }
  const std::string& str() const { return out_; }
  operator std::string_view() const { return out_; }

 private:
  std::string out_;
};

/// An entry of the map `extra`.
inline std::string extra_entry(std::string_view name, float value) {
  return Wire().bytes(1, name).number(2, value).str();
}

/// Field number of a metric.
inline std::uint32_t field_of(std::size_t metric) {
  return static_cast<std::uint32_t>(4 + metric);
}

}  // namespace emshap::test
