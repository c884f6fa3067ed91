#include <doctest/doctest.h>
#include <fmt/format.h>

#include "cuda/compare_op.h"
#include "emshap/ops/elementwise.h"

using namespace emshap;
using namespace emshap::test;

namespace {

void check_all(std::int64_t rows, std::int64_t cols) {
  const std::string at = fmt::format(", {} x {}", rows, cols);
  const std::int64_t n = rows * cols;
  const auto a = random_values(n, 1), b = random_values(n, 2), y = random_values(n, 3),
             scale = random_values(cols, 4), shift = random_values(cols, 5);
  const Shape shape{rows, cols};
  const Tolerance t{1e-6, 1e-6};
  compare_op(
      "fill" + at, [&](Side& s) { ops::fill(s.ctx(), .25, s.out("y", shape)); }, t);
  compare_op(
      "copy" + at, [&](Side& s) { ops::copy(s.ctx(), s.in(a, shape), s.out("y", shape)); }, t);
  compare_op(
      "add" + at, [&](Side& s) { ops::add(s.ctx(), s.in(a, shape), s.in(b, shape), s.out("y", shape)); }, t);
  compare_op(
      "multiply" + at,
      [&](Side& s) { ops::multiply(s.ctx(), s.in(a, shape), s.in(b, shape), s.out("y", shape)); }, t);
  compare_op(
      "affine" + at, [&](Side& s) { ops::affine(s.ctx(), s.in(a, shape), -1.5, .3, s.out("y", shape)); }, t);
  compare_op(
      "axpy" + at, [&](Side& s) { ops::axpy(s.ctx(), .7, s.in(a, shape), s.inout("y", y, shape)); }, t);
  compare_op(
      "scale_shift_columns" + at,
      [&](Side& s) {
        ops::scale_shift_columns(s.ctx(), s.in(a, shape), s.in(scale, {cols}), s.in(shift, {cols}),
                                 s.out("y", shape));
      },
      t);
}

}  // namespace

TEST_CASE("small: pointwise ops on every device equal the CPU in double") {
  for (const std::int64_t rows : {0, 1, 2, 33})
    for (const std::int64_t cols : {1, 31, 33}) check_all(rows, cols);
}

TEST_CASE("large: pointwise ops on every device equal the CPU in double") {
  for (const std::int64_t cols : {32, 255, 256, 257, 1025}) check_all(31, cols);
  check_all(9001, 257);  // more elements than a grid has threads
}
