#include <doctest/doctest.h>
#include <fmt/format.h>

#include "cuda/compare_op.h"
#include "emshap/ops/normalization.h"

using namespace emshap;
using namespace emshap::test;

namespace {

const ops::NormEpilogue epilogues[] = {
    {},
    {Activation::relu, 0, {}},
    {Activation::relu, .3f, {7, RandomPurpose::dropout, 3, 2}},
    {Activation::tanh, 0, {}},
    {Activation::leaky_relu, 0, {}},
};

/// Values around `centre`, none of which a rounding takes across the kink of an activation.
void check_norm(std::int64_t rows, std::int64_t cols, const ops::NormEpilogue& epilogue, double centre = .5) {
  const std::string at = fmt::format(" {} {}, {} x {} around {}", to_string(epilogue.activation),
                                     epilogue.dropout, rows, cols, centre);
  auto x = random_values(rows * cols, 1);
  for (double& v : x) v += centre;
  const auto gamma = random_values(cols, 2), beta = random_values(cols, 3), mean = random_values(cols, 4);
  auto variance = random_values(cols, 5);
  for (double& v : variance) v = v * v + .1;
  const auto dy = random_values(rows * cols, 6), start = random_values(cols, 7);
  const Shape shape{rows, cols}, columns{cols};
  const Tolerance t{2e-5, 2e-5};
  // The double side takes f32's inputs, so that a large centre does not differ.
  for (double& v : x) v = static_cast<double>(static_cast<float>(v));
  compare_op(
      "batch_norm_forward" + at,
      [&](Side& s) {
        ops::batch_norm_forward(s.ctx(), s.in(x, shape), s.in(gamma, columns), s.in(beta, columns), 1e-5, .1,
                                s.inout("running_mean", mean, columns),
                                s.inout("running_var", variance, columns), epilogue, s.out("y", shape),
                                s.out("mean", columns), s.out("rstd", columns));
      },
      t);
  compare_op("batch_norm_infer" + at,
             [&](Side& s) {
               ops::batch_norm_infer(s.ctx(), s.in(x, shape), s.in(gamma, columns), s.in(beta, columns), 1e-5,
                                     s.in(mean, columns), s.in(variance, columns), epilogue.activation,
                                     s.out("y", shape));
             },
             {2e-5 + 1e-6 * centre, 2e-5});
  // Gradients at given outputs: signs that do not depend on a rounding.
  const auto y = random_values(rows * cols, 8);
  for (const bool in_place : {false, true})
    compare_op("batch_norm_backward" + at,
               [&](Side& s) {
                 const TensorView dx = in_place ? s.inout("dx", dy, shape) : s.out("dx", shape);
                 ops::batch_norm_backward(
                     s.ctx(), in_place ? ConstTensorView(dx) : s.in(dy, shape), s.in(x, shape),
                     s.in(y, shape), s.in(gamma, columns), s.in(start, columns), s.in(variance, columns),
                     epilogue, dx, s.inout("dgamma", start, columns), s.inout("dbeta", start, columns));
               },
               {1e-5 * (1 + centre) * (1 + .02 * static_cast<double>(rows)), 2e-5});
}

}  // namespace

TEST_CASE("small: batch normalisation on every device equals the CPU in double") {
  for (const auto& e : epilogues) {
    for (const std::int64_t rows : {0, 2, 33}) check_norm(rows, 33, e);
    check_norm(3, 1, e);
  }
  for (const std::int64_t rows : {1, 7, 8, 9, 63, 64, 65, 255, 256}) check_norm(rows, 31, epilogues[0]);
}

TEST_CASE("large: chunks of rows are merged") {
  for (const auto& e : epilogues) check_norm(257, 9, e);
  check_norm(1000, 65, epilogues[2]);
  check_norm(5000, 3, epilogues[1]);
}

TEST_CASE("a mean that is large against the spread costs the variance no digits") {
  check_norm(40, 5, epilogues[0], 1000);
  check_norm(700, 5, epilogues[0], 1000);
}
