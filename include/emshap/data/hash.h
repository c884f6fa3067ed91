#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "emshap/core/export.h"

namespace emshap {

/// A stable 64-bit hash, the same on every machine: the FNV-1a step (xor, multiply by the 64-bit FNV prime;
/// Fowler, Noll, Vo) on 64-bit words instead of bytes, with a shift that brings high bits down. It tells
/// files apart; it does not protect against forgery.
class EMSHAP_API Hash64 {
 public:
  void word(std::uint64_t value) {
    state_ = (state_ ^ value) * 0x100000001b3ULL;
    state_ ^= state_ >> 32;
  }
  /// The exact bits; -0 and 0 differ, every NaN counts as one value.
  void number(double value);
  void numbers(std::span<const double> values);
  /// The bytes and their count, so that {"ab", "c"} and {"a", "bc"} differ.
  void text(std::string_view bytes);
  std::uint64_t value() const { return state_; }
  /// 16 lower-case hexadecimal digits.
  std::string hex() const;

 private:
  std::uint64_t state_ = 0xcbf29ce484222325ULL;
};

}  // namespace emshap
