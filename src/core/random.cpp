#include "emshap/core/random.h"

#include <numeric>
#include <utility>

#include "math/philox.h"
#include "math/random_value.h"

namespace emshap {

std::uint32_t Generator::next_u32() {
  if (used_ == 4) {
    const math::PhiloxBlock block = math::PhiloxStream(key_).row(row_).block(block_++);
    for (std::size_t i = 0; i < 4; ++i) values_[i] = block.word[i];
    used_ = 0;
  }
  return values_[static_cast<std::size_t>(used_++)];
}

std::uint64_t Generator::next_u64() {
  const std::uint64_t high = next_u32();
  return high << 32 | next_u32();
}

double Generator::uniform() {
  const std::uint32_t high = next_u32();
  return math::uniform_from(high, next_u32());
}

double Generator::normal() {
  const std::uint32_t high = next_u32();
  return math::normal_from(high, next_u32());
}

// Lemire 2019, "Fast random integer generation in an interval": the high half of a 64 x 64 bit product; the
// few low halves that would make some results more frequent are drawn again.
std::uint64_t Generator::below(std::uint64_t bound) {
  __extension__ using Wide = unsigned __int128;
  const std::uint64_t surplus = (0 - bound) % bound;  // 2^64 mod bound
  for (;;) {
    const Wide product = static_cast<Wide>(next_u64()) * bound;
    if (static_cast<std::uint64_t>(product) >= surplus) return static_cast<std::uint64_t>(product >> 64);
  }
}

std::vector<std::int64_t> permutation(RandomKey key, std::int64_t count) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  Generator random(key);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

}  // namespace emshap
