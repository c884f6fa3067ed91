// cuRAND as the reference of our Philox. Its generator orders words as 65,536 subsequences side by side: four
// words (a block) of each, then the next block of each. Subsequence s stands in words 2 and 3 of the counter,
// the block in words 0 and 1, the seed is the key: streams of ours with row 0 and these numbers.
#include <curand.h>
#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "emshap/core/tensor.h"
#include "math/philox.h"
#include "support/compare.h"
#include "support/devices.h"

using namespace emshap;
using namespace emshap::test;

namespace {

constexpr std::uint64_t seed = (std::uint64_t{7} << 32) + 42;
constexpr std::uint32_t subsequences = 65536, blocks = 2;

std::vector<std::uint32_t> our_words() {
  std::vector<std::uint32_t> words;
  for (std::uint32_t b = 0; b < blocks; ++b)
    for (std::uint32_t s = 0; s < subsequences; ++s) {
      const math::PhiloxRow row{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32), 0,
                                s, 0};
      for (const std::uint32_t word : row.block(b).word) words.push_back(word);
    }
  return words;
}

void generate(curandGenerator_t generator, void* words, std::size_t count) {
  REQUIRE(curandSetPseudoRandomGeneratorSeed(generator, seed) == CURAND_STATUS_SUCCESS);
  REQUIRE(curandGenerate(generator, static_cast<unsigned*>(words), count) == CURAND_STATUS_SUCCESS);
}

}  // namespace

TEST_CASE("our Philox gives the words of cuRAND's Philox4x32-10 on the host") {
  curandGenerator_t generator = nullptr;
  REQUIRE(curandCreateGeneratorHost(&generator, CURAND_RNG_PSEUDO_PHILOX4_32_10) == CURAND_STATUS_SUCCESS);
  const std::vector<std::uint32_t> ours = our_words();
  std::vector<std::uint32_t> theirs(ours.size());
  generate(generator, theirs.data(), theirs.size());
  CHECK(curandDestroyGenerator(generator) == CURAND_STATUS_SUCCESS);
  CHECK(theirs == ours);
}

TEST_CASE("our Philox gives the words of cuRAND's Philox4x32-10 on a GPU") {
  for (const Backend backend : backends()) {
    if (backend != Backend::cuda) continue;
    const auto ctx = make_context(backend);
    const std::vector<std::uint32_t> ours = our_words();
    const auto count = static_cast<std::int64_t>(ours.size());
    Tensor words({count}, DType::i32, device_of(backend));
    curandGenerator_t generator = nullptr;
    REQUIRE(curandCreateGenerator(&generator, CURAND_RNG_PSEUDO_PHILOX4_32_10) == CURAND_STATUS_SUCCESS);
    REQUIRE(curandSetStream(generator, static_cast<cudaStream_t>(ctx->stream())) == CURAND_STATUS_SUCCESS);
    generate(generator, words.view().data(), ours.size());
    ctx->synchronize();
    CHECK(curandDestroyGenerator(generator) == CURAND_STATUS_SUCCESS);
    std::vector<double> expected;
    for (const std::uint32_t word : ours) expected.push_back(static_cast<std::int32_t>(word));
    check_same_bits("words", to_doubles(words), expected);
  }
}
