#include <doctest/doctest.h>
#include <fmt/format.h>

#include "cuda/compare_op.h"
#include "emshap/ops/activation.h"
#include "math/launch_shape.h"

using namespace emshap;
using namespace emshap::test;

namespace {

void check_all(std::int64_t rows, std::int64_t cols) {
  const std::int64_t n = rows * cols;
  const auto x = random_values(n, 1, 3), dy = random_values(n, 2), y = random_values(n, 3, .4);
  const Shape shape{rows, cols};
  const Tolerance t{2e-6, 2e-6};
  for (int i = 0; i <= static_cast<int>(Activation::silu); ++i) {
    const auto a = static_cast<Activation>(i);
    const std::string at = fmt::format(" {}, {} x {}", to_string(a), rows, cols);
    compare_op(
        "forward" + at,
        [&](Side& s) { ops::activation_forward(s.ctx(), a, s.in(x, shape), s.out("y", shape)); }, t);
    compare_op(
        "backward from x" + at,
        [&](Side& s) {
          ops::activation_backward(s.ctx(), a, s.in(x, shape), {}, s.in(dy, shape), s.out("dx", shape));
        },
        t);
    compare_op(
        "in place" + at,
        [&](Side& s) {
          const TensorView dx = s.inout("dx", dy, shape);
          ops::activation_backward(s.ctx(), a, s.in(x, shape), {}, dx, dx);
        },
        t);
    if (!derivative_from_output(a)) continue;
    compare_op(
        "backward from y" + at,
        [&](Side& s) {
          ops::activation_backward(s.ctx(), a, {}, s.in(y, shape), s.in(dy, shape), s.out("dx", shape));
        },
        t);
  }
}

}  // namespace

TEST_CASE("small: activations on every device equal the CPU in double") {
  for (const std::int64_t rows : {0, 1, 33})
    for (const std::int64_t cols : {1, 32, 33}) check_all(rows, cols);
}

TEST_CASE("large: activations on every device equal the CPU in double") {
  for (const std::int64_t cols : sizes_around(math::pointwise_threads)) check_all(3, cols);
}
