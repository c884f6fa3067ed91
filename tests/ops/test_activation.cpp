#include "emshap/ops/activation.h"

#include "op_test.h"

using namespace emshap;
using namespace emshap::test;

namespace {

const std::vector<Activation> all{Activation::identity, Activation::relu, Activation::leaky_relu,
                                  Activation::gelu,     Activation::tanh, Activation::sigmoid,
                                  Activation::softplus, Activation::silu};

double value(Activation a, double z) {
  switch (a) {
    case Activation::identity:
      return z;
    case Activation::relu:
      return z > 0 ? z : 0;
    case Activation::leaky_relu:
      return z > 0 ? z : .01 * z;
    case Activation::gelu:
      return z * .5 * std::erfc(-z / std::sqrt(2.));
    case Activation::tanh:
      return std::tanh(z);
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-z));
    case Activation::softplus:
      return std::log(1 + std::exp(z));
    case Activation::silu:
      return z / (1 + std::exp(-z));
  }
  return 0;
}

/// By central differences in long steps of Richardson's scheme; z is kept away from the kink at 0.
double slope(Activation a, double z) {
  const auto central = [&](double h) { return (value(a, z + h) - value(a, z - h)) / (2 * h); };
  const double h = 1e-3;
  return (4 * central(h / 2) - central(h)) / 3;
}

Values inputs(std::int64_t count) {
  Values x = random_values(count, 7, 0, 2);
  for (double& v : x)
    if (std::abs(v) < .01) v = .5;
  return x;
}

}  // namespace

TEST_CASE("activations and their gradients match the formulas at every level, size and stride") {
  for (const Backend level : levels()) {
    Context ctx(level);
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t gap : {0, 3})
        for (const std::int64_t rows : {0, 1, 2, 33})
          for (const std::int64_t cols : column_sizes)
            for (const Activation a : all) {
              const Values x = inputs(rows * cols), dy = random_values(rows * cols, 8);
              Values want_y, want_dx;
              for (std::size_t i = 0; i < x.size(); ++i) {
                want_y.push_back(value(a, x[i]));
                want_dx.push_back(dy[i] * slope(a, x[i]));
              }
              const Matrix mx(x, rows, cols, dtype, gap), mdy(dy, rows, cols, dtype, gap);
              Matrix y(rows, cols, dtype, gap), dx(rows, cols, dtype, gap), from_y(rows, cols, dtype, gap);
              ops::activation_forward(ctx, a, mx, y);
              ops::activation_backward(ctx, a, mx, {}, mdy, dx);
              INFO(name_of(level) << ' ' << std::string(to_string(a)) << ' ' << rows << 'x' << cols);
              check_close(y.values(), want_y, tolerance(dtype, 1e-7, 1e-14), tolerance(dtype, 2e-6, 1e-13));
              check_close(dx.values(), want_dx, tolerance(dtype, 2e-6, 1e-9), tolerance(dtype, 2e-6, 1e-9));
              CHECK(y.gaps_intact());
              CHECK(dx.gaps_intact());
              if (derivative_from_output(a)) {
                ops::activation_backward(ctx, a, {}, y, mdy, from_y);
                check_close(from_y.values(), want_dx, tolerance(dtype, 2e-6, 1e-9),
                            tolerance(dtype, 2e-6, 1e-9));
              }
            }
  }
}

TEST_CASE("activations run in place, with the bits of the other layouts") {
  for (const Backend level : levels()) {
    Context ctx(level);
    for (const Activation a : all) {
      const Values x = inputs(33 * 17), dy = random_values(33 * 17, 3);
      const Matrix mx(x, 33, 17, DType::f32), mdy(dy, 33, 17, DType::f32, 5);
      Matrix y(33, 17, DType::f32), dx(33, 17, DType::f32), same(x, 33, 17, DType::f32, 2),
          same_dy(dy, 33, 17, DType::f32);
      ops::activation_forward(ctx, a, mx, y);
      ops::activation_backward(ctx, a, mx, {}, mdy, dx);
      ops::activation_forward(ctx, a, same, same);
      ops::activation_backward(ctx, a, mx, {}, same_dy, same_dy);
      CHECK(same_bits(y.values(), same.values()));
      CHECK(same_bits(dx.values(), same_dy.values()));
    }
  }
}

TEST_CASE("relu lets a nan through, so that a broken network is noticed") {
  for (const Backend level : levels()) {
    Context ctx(level);
    Matrix x({NAN, -1, 2}, 1, 3, DType::f32);
    ops::activation_forward(ctx, Activation::relu, x, x);
    CHECK(std::isnan(x.values()[0]));
    CHECK(x.values()[1] == 0);
    CHECK(x.values()[2] == 2);
  }
}

TEST_CASE("activation arguments are checked") {
  Context ctx;
  Matrix x(2, 3, DType::f32), other(2, 4, DType::f32), wide(2, 3, DType::f64);
  CHECK_THROWS_AS(ops::activation_forward(ctx, Activation::relu, x, other), ShapeError);
  CHECK_THROWS_AS(ops::activation_forward(ctx, Activation::relu, x, wide), DTypeError);
  CHECK_THROWS_AS(ops::activation_backward(ctx, Activation::gelu, {}, x, x, x), ShapeError);
  CHECK_THROWS_AS(ops::activation_backward(ctx, Activation::tanh, {}, {}, x, x), ShapeError);
  CHECK_THROWS_AS(ops::activation_backward(ctx, Activation::tanh, other, {}, x, x), ShapeError);
}

TEST_CASE("activation names") {
  for (const Activation a : all) CHECK(parse_activation(to_string(a)) == a);
  CHECK_THROWS_WITH_AS(
      parse_activation("swish"),
      "activation 'swish' is not known, expected one of identity, relu, leaky_relu, gelu, tanh, sigmoid, "
      "softplus, silu",
      ConfigError);
}
