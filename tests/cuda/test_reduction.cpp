#include <doctest/doctest.h>
#include <fmt/format.h>

#include <limits>

#include "cuda/compare_op.h"
#include "emshap/ops/reduction.h"
#include "math/launch_shape.h"
#include "support/devices.h"

using namespace emshap;
using namespace emshap::test;

namespace {

void check_sums(std::int64_t rows, std::int64_t cols) {
  const std::string at = fmt::format(", {} x {}", rows, cols);
  const auto x = random_values(rows * cols, 1);
  const Shape shape{rows, cols};
  const Tolerance t{2e-5, 2e-6};
  compare_op(
      "sum_over_rows" + at,
      [&](Side& s) { ops::sum_over_rows(s.ctx(), s.in(x, shape), s.out("out", {cols})); }, t);
  compare_op(
      "sum_over_columns" + at,
      [&](Side& s) { ops::sum_over_columns(s.ctx(), s.in(x, shape), s.out("out", {rows})); }, t);
  compare_op(
      "sum" + at, [&](Side& s) { ops::sum(s.ctx(), s.in(x, shape), s.out("out", {1})); }, t);
  compare_op(
      "sum_of_squares_shared" + at,
      [&](Side& s) { ops::sum_of_squares_shared(s.ctx(), s.in(x, {rows * cols}), s.out("out", {1})); }, t);
}

void check_log_sum_exp(std::int64_t rows, std::int64_t cols) {
  const std::string at = fmt::format(", {} x {}", rows, cols);
  const auto x = random_values(rows * cols, 2, 3), dout = random_values(rows, 3);
  const Shape shape{rows, cols};
  if (cols > 0)
    compare_op("log_sum_exp" + at,
               [&](Side& s) { ops::log_sum_exp(s.ctx(), s.in(x, shape), s.out("out", {rows})); },
               {1e-5, 1e-6});
  compare_op("log_sum_exp_backward" + at,
             [&](Side& s) {
               ops::log_sum_exp_backward(s.ctx(), s.in(x, shape),
                                         s.in(std::vector<double>(static_cast<std::size_t>(rows), 8), {rows}),
                                         s.in(dout, {rows}), s.out("dx", shape));
             },
             {1e-6, 1e-5});
}

}  // namespace

TEST_CASE("small: sums on every device equal the CPU in double") {
  for (const std::int64_t rows : {0, 1, 2, 31, 33, 65})
    for (const std::int64_t cols : {1, 2, 3, 17, 31, 32, 33}) check_sums(rows, cols);
  check_sums(3, 0);
}

TEST_CASE("small: log_sum_exp on every device equals the CPU in double") {
  for (const std::int64_t rows : {0, 1, 2, 7, 33})
    for (const std::int64_t cols : {0, 1, 2, 3, 5, 17, 32, 33}) check_log_sum_exp(rows, cols);
}

TEST_CASE("large: sums where rows take a block, and more elements than blocks take at once") {
  for (const std::int64_t cols : {math::long_row, math::long_row + 1}) check_sums(3, cols);
  for (const std::int64_t rows : sizes_around(math::row_threads)) check_sums(rows, 1);
  const std::int64_t n = 8 * math::pointwise_threads * math::total_most_blocks + 1;
  const auto x = random_values(n, 4);
  compare_op("sum of many", [&](Side& s) { ops::sum(s.ctx(), s.in(x, {n}), s.out("out", {1})); },
             {1e-3, 1e-6});
}

TEST_CASE("large: log_sum_exp where rows take a block") {
  for (const std::int64_t cols : {math::long_row, math::long_row + 1, 5 * math::long_row})
    check_log_sum_exp(3, cols);
  for (const std::int64_t rows : sizes_around(math::row_threads)) check_log_sum_exp(rows, 3);
}

TEST_CASE("log_sum_exp of infinities and of nothing") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  for (const Backend backend : backends()) {
    if (backend != Backend::cuda) continue;
    const auto ctx = make_context(backend);
    const Device device = device_of(backend);
    const Tensor x =
        make_tensor(std::vector<double>{-inf, -inf, 1, inf, -inf, 2}, {3, 2}, DType::f32, device);
    Tensor out({3}, DType::f32, device);
    ops::log_sum_exp(*ctx, x, out);
    ctx->synchronize();
    check_same_bits("infinities", to_doubles(out), std::vector<double>{-inf, inf, 2});
    Tensor nothing({3, 0}, DType::f32, device);
    ops::log_sum_exp(*ctx, nothing, out);
    ctx->synchronize();
    check_same_bits("no columns", to_doubles(out), std::vector<double>(3, -inf));
  }
}
