#include "emshap/ops/draw_noise.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "support/compare.h"
#include "support/devices.h"

using namespace emshap;
using namespace emshap::test;

namespace {

std::vector<double> noise(Backend backend, DrawNoise kind, std::vector<std::int64_t> numbers,
                          std::int64_t first, std::int64_t draws, std::int64_t cols) {
  const auto ctx = make_context(backend);
  const std::int64_t rows = static_cast<std::int64_t>(numbers.size()) * draws;
  Tensor y(Shape{rows, cols}, DType::f32, ctx->device());
  const RandomKey key{.seed = 5, .purpose = RandomPurpose::proposal, .layer = 0, .step = 3};
  ops::fill_draw_noise(*ctx, kind, key, numbers, first, draws, y);
  numbers.assign(numbers.size(), -1);  // the op has its own by now
  ctx->synchronize();
  return to_doubles(y);
}

void check(std::int64_t rows, std::int64_t first, std::int64_t draws, std::int64_t cols) {
  std::vector<std::int64_t> numbers;
  for (std::int64_t i = 0; i < rows; ++i) numbers.push_back(i % 5 == 4 ? (std::int64_t{1} << 45) + i : 3 * i);
  for (const Backend backend : backends())
    for (const DrawNoise kind : {DrawNoise::independent, DrawNoise::sobol})
      if (backend == Backend::cuda)
        check_same_bits(fmt::format("{} rows, draws {} to {}, {} columns", rows, first, first + draws, cols),
                        noise(backend, kind, numbers, first, draws, cols),
                        noise(cpu_levels().front(), kind, numbers, first, draws, cols));
}

}  // namespace

TEST_CASE("the numbers of draws have the CPU's bits") {
  for (const std::int64_t cols : {1, 2, 3, 4, 5, 31, 32, 33}) check(3, 0, 5, cols);
  for (const std::int64_t draws : {0, 1, 31, 32, 33}) check(2, 7, draws, 6);
  check(0, 0, 4, 4);
  check(1, 0, 1, 7);  // one point: index 0 has no bits
  check(2, 1000000, 3, 9);
}

TEST_CASE("more dimensions than Sobol's table, more rows than one kernel's arguments hold") {
  check(2, 0, 3, 300);
  for (const std::int64_t rows : {479, 480, 481, 1001}) check(rows, 0, 2, 3);
}
