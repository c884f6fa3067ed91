#pragma once
// Counter-based random numbers: value = Philox4x32-10(key = seed, counter = (element block, row, step,
// purpose)). Source: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3". The same
// counters give the same bits on every device, for any thread count and batch split.
#include <array>
#include <cstdint>
#include <vector>

#include "emshap/core/export.h"

namespace emshap {

/// What a stream of numbers is for; part of the counter, so that two uses never share numbers.
enum class RandomPurpose : std::uint32_t {
  initialisation = 1,
  dropout = 2,
  shuffle = 3,
  split = 4,
  masking = 5,
  proposal = 6,
  dequantise = 7,
  data_generation = 8,
  background = 9,
  coalition = 10,
  test = 99,
};

/// Names a stream: seed, purpose and step (training step, epoch, replicate ...). `layer` separates, for one
/// purpose and step, several users such as the dropout layers of a network.
struct RandomKey {
  std::uint64_t seed = 0;
  RandomPurpose purpose = RandomPurpose::test;
  std::uint32_t layer = 0;
  std::uint64_t step = 0;
};

/// Sequential reader of one stream, for host code (shuffles, splits, data generation). Row r and position i
/// of a key always give the same value; generators of different rows are independent.
class EMSHAP_API Generator {
 public:
  explicit Generator(RandomKey key, std::uint64_t row = 0) : key_(key), row_(row) {}
  std::uint32_t next_u32();
  std::uint64_t next_u64();
  /// Uniform on (0, 1), 53 bits, never 0 or 1.
  double uniform();
  /// Standard normal by the inverse distribution function.
  double normal();
  /// Uniform on {0, ..., bound - 1} without bias; bound >= 1.
  std::uint64_t below(std::uint64_t bound);

 private:
  RandomKey key_;
  std::uint64_t row_ = 0;
  std::uint32_t block_ = 0;
  int used_ = 4;
  std::array<std::uint32_t, 4> values_{};
};

/// A uniformly random order of 0..count-1 (Fisher-Yates).
EMSHAP_API std::vector<std::int64_t> permutation(RandomKey key, std::int64_t count);

}  // namespace emshap
