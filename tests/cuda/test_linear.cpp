#include <doctest/doctest.h>
#include <fmt/format.h>

#include "cuda/compare_op.h"
#include "emshap/ops/linear.h"
#include "emshap/ops/product.h"
#include "math/launch_shape.h"
#include "support/devices.h"

using namespace emshap;
using namespace emshap::test;

namespace {

constexpr Activation activations[] = {Activation::identity, Activation::relu, Activation::leaky_relu,
                                      Activation::gelu,     Activation::tanh, Activation::sigmoid,
                                      Activation::softplus, Activation::silu};

void check_linear(std::int64_t rows, std::int64_t inputs, std::int64_t outputs, Activation activation) {
  const std::string at = fmt::format(" {}, {} x {} x {}", to_string(activation), rows, inputs, outputs);
  const auto x = random_values(rows * inputs, 1), w = random_values(inputs * outputs, 2),
             bias = random_values(outputs, 3), dy = random_values(rows * outputs, 4),
             dx = random_values(rows * inputs, 5), db = random_values(outputs, 6);
  const Tolerance t{2e-6 * static_cast<double>(inputs + rows + outputs + 1), 2e-6};
  const Shape input{rows, inputs}, output{rows, outputs}, weights{inputs, outputs};
  for (const bool with_bias : {false, true}) {
    const auto vector = [&](Side& s) { return with_bias ? s.in(bias, {outputs}) : TensorView(); };
    compare_op(
        "linear_forward" + at,
        [&](Side& s) {
          ops::linear_forward(s.ctx(), s.in(x, input), s.in(w, weights), vector(s), activation,
                              s.out("y", output));
        },
        t);
  }
  for (const bool accumulate : {false, true})
    compare_op(
        "linear_backward_input" + at,
        [&](Side& s) {
          ops::linear_backward_input(s.ctx(), s.in(dy, output), s.in(w, weights),
                                     accumulate ? s.inout("dx", dx, input) : s.out("dx", input), accumulate);
        },
        t);
  for (const bool with_bias : {false, true})
    compare_op(
        "linear_backward_params" + at,
        [&](Side& s) {
          // dw without gaps, as a parameter's gradient lies.
          const TensorView dw = s.inout("dw", w, {inputs * outputs}).reshaped(weights);
          ops::linear_backward_params(s.ctx(), s.in(x, input), s.in(dy, output), dw,
                                      with_bias ? s.inout("db", db, {outputs}) : TensorView());
        },
        t);
}

void check_products(std::int64_t rows, std::int64_t cols) {
  const std::string at = fmt::format(", {} x {}", rows, cols);
  constexpr std::int64_t inner = 5;
  const auto a = random_values(rows * inner, 1), b = random_values(inner * cols, 2),
             y = random_values(rows * cols, 3), sums = random_values(cols, 4);
  const Tolerance t{2e-6 * static_cast<double>(rows + 1), 2e-6};
  compare_op(
      "add_product" + at,
      [&](Side& s) {
        ops::add_product(s.ctx(), s.in(a, {rows, inner}), s.in(b, {inner, cols}),
                         s.inout("y", y, {rows, cols}));
      },
      t);
  compare_op(
      "add_product_at" + at,
      [&](Side& s) {
        ops::add_product_at(s.ctx(), s.in(a, {inner, rows}), s.in(b, {inner, cols}),
                            s.inout("y", y, {rows, cols}));
      },
      t);
  compare_op(
      "add_column_sums" + at,
      [&](Side& s) {
        ops::add_column_sums(s.ctx(), s.in(y, {rows, cols}), s.inout("sums", sums, {cols}));
      },
      t);
  compare_op("transpose" + at,
             [&](Side& s) {
               ops::transpose(s.ctx(), s.in(y, {rows, cols}), s.out("t", {cols, rows}));
             },
             {0, 1e-7});
}

}  // namespace

TEST_CASE("linear layers on every device equal the CPU in double") {
  for (const Activation a : activations) check_linear(5, 7, 33, a);
  for (const std::int64_t rows : {0, 1, 2, 64, 65}) check_linear(rows, 3, 31, Activation::relu);
  check_linear(33, 0, 4, Activation::tanh);
  check_linear(33, 1, 1, Activation::identity);
  check_linear(129, 64, 32, Activation::gelu);
}

TEST_CASE("products, column sums and transposes on every device equal the CPU in double") {
  for (const std::int64_t rows : {0, 1, 31, 32, 33, 63, 64, 65, 199})
    for (const std::int64_t cols : {1, 32, 33}) check_products(rows, cols);
  check_products(2000, 70);
}

TEST_CASE("a product of a transposed view's columns keeps to its columns") {
  for (const Backend backend : backends()) {
    if (backend != Backend::cuda) continue;
    const auto ctx = make_context(backend);
    const Device device = device_of(backend);
    const auto values = random_values(4 * 10, 1), weights = random_values(3 * 6, 2);
    const Tensor x = make_tensor(values, {4, 10}, DType::f32, device),
                 w = make_tensor(weights, {3, 6}, DType::f32, device);
    Tensor y = Tensor::zeros({4, 9}, DType::f32, device);
    ops::linear_forward(*ctx, x.view().columns(2, 3), w.view().columns(1, 2), ConstTensorView(),
                        Activation::identity, y.view().columns(5, 2));
    ctx->synchronize();
    std::vector<double> expected(36);
    for (std::size_t r = 0; r < 4; ++r)
      for (std::size_t c = 0; c < 2; ++c)
        for (std::size_t k = 0; k < 3; ++k)
          expected[r * 9 + 5 + c] += values[r * 10 + 2 + k] * weights[k * 6 + 1 + c];
    check_close("columns of views", to_doubles(y), expected, {1e-6, 1e-6});
  }
}
