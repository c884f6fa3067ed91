#pragma once
// Which elements dropout keeps. Element (row, column c) of a stream draws 16 bits, half-word c % 8 (low
// halves first) of Philox block c / 8, and is kept when they are >= a threshold.
#include "math/philox.h"

namespace emshap::math {

/// Elements are dropped with probability threshold / 65536: p to the nearest, at most 65535 / 65536.
/// 0 <= p < 1.
EMSHAP_HD std::uint32_t dropout_threshold(double p) {
  const auto nearest = static_cast<std::uint32_t>(p * 65536 + .5);
  return nearest < 65535 ? nearest : 65535;
}

inline constexpr int dropout_columns = 8;  ///< columns of a Philox block

/// Eight neighbouring columns of a row.
struct DropoutBlock {
  PhiloxBlock words;
  std::uint32_t threshold;
  /// Column i of the block, 0 <= i < 8.
  EMSHAP_HD bool keeps(int i) const { return (words.word[i / 2] >> (i % 2 * 16) & 0xffffu) >= threshold; }
};

struct DropoutStream {
  PhiloxStream stream;
  std::uint32_t threshold;

  EMSHAP_HD DropoutStream(const RandomKey& key, double p) : stream(key), threshold(dropout_threshold(p)) {}
  /// Columns [8 index, 8 index + 8) of `row`, counted over the batch, below 2^44.
  EMSHAP_HD DropoutBlock block(std::int64_t row, std::int64_t index) const {
    return {stream.near_row(static_cast<std::uint64_t>(row)).block(static_cast<std::uint32_t>(index)),
            threshold};
  }
};

}  // namespace emshap::math
