#include <doctest/doctest.h>
#include <fmt/format.h>

#include "cuda/compare_op.h"
#include "emshap/ops/loss.h"
#include "math/launch_shape.h"

using namespace emshap;
using namespace emshap::test;

namespace {

void check_all(std::int64_t rows, std::int64_t cols) {
  const Shape shape{rows, cols};
  const auto prediction = random_values(rows * cols, 1), target = random_values(rows * cols, 2, 1, .5);
  for (const Loss kind : {Loss::mse, Loss::huber}) {
    const std::string at = fmt::format(" {}, {} x {}", to_string(kind), rows, cols);
    const Tolerance t{1e-7, 1e-6};
    compare_op(
        "loss" + at,
        [&](Side& s) {
          ops::loss_forward(s.ctx(), kind, .7, s.in(prediction, shape), s.in(target, shape),
                            s.out("loss", {1}), {});
        },
        t);
    compare_op(
        "loss and gradient" + at,
        [&](Side& s) {
          ops::loss_forward(s.ctx(), kind, .7, s.in(prediction, shape), s.in(target, shape),
                            s.out("loss", {1}), s.out("dprediction", shape));
        },
        t);
    compare_op(
        "in place" + at,
        [&](Side& s) {
          const TensorView both = s.inout("dprediction", prediction, shape);
          ops::loss_forward(s.ctx(), kind, .7, both, s.in(target, shape), s.out("loss", {1}), both);
        },
        t);
  }
}

}  // namespace

TEST_CASE("small: losses on every device equal the CPU in double") {
  for (const std::int64_t rows : {0, 1, 2, 31, 33})
    for (const std::int64_t cols : {1, 3, 32}) check_all(rows, cols);
}

TEST_CASE("large: losses on every device equal the CPU in double") {
  for (const std::int64_t rows : sizes_around(8 * math::pointwise_threads)) check_all(rows, 1);
  check_all(4099, 9);
}
