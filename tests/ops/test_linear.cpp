#include <doctest/doctest.h>

#include <Eigen/Core>
#include <cmath>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/core/error.h"
#include "emshap/core/tensor.h"
#include "emshap/ops/linear.h"
#include "support/devices.h"

using namespace emshap;

namespace {

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using MatrixD = Matrix<double>;

/// Values in [-1, 1] that are no multiples of each other; columns beyond `cols` of the buffer hold NaN, so
/// that a read outside a strided view is seen.
template <class T>
struct Strided {
  Strided(std::int64_t rows, std::int64_t cols, std::int64_t gap, double phase)
      : tensor({rows, cols + gap}, dtype_of<T>()) {
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < cols + gap; ++c)
        tensor.ptr<T>()[r * (cols + gap) + c] =
            c < cols ? static_cast<T>(std::sin(1.7 * static_cast<double>(r) +
                                               .37 * static_cast<double>(c) * phase + phase))
                     : T(NAN);
    view = tensor.view().columns(0, cols);
  }
  MatrixD matrix() const {
    return Eigen::Map<const Matrix<T>, 0, Eigen::OuterStride<>>(
               view.template ptr<T>(), view.rows(), view.cols(), Eigen::OuterStride<>(view.row_stride()))
        .template cast<double>();
  }
  Tensor tensor;
  TensorView view;
};

double worst(const MatrixD& got, const MatrixD& expected) {
  if (got.size() == 0) return 0;
  return ((got - expected).array().abs() / (1 + expected.array().abs())).maxCoeff<Eigen::PropagateNaN>();
}

template <class T>
double limit(std::int64_t inner) {
  return (sizeof(T) == 4 ? 1e-6 : 1e-15) * (4 + std::sqrt(static_cast<double>(inner)));
}

template <class T>
void check_products(Backend backend, std::int64_t m, std::int64_t k, std::int64_t n, std::int64_t gap) {
  CAPTURE(to_string(backend));
  CAPTURE(m);
  CAPTURE(k);
  CAPTURE(n);
  CAPTURE(gap);
  Context ctx(backend);
  Strided<T> x(m, k, gap, 1), w(k, n, gap, 2), dy(m, n, gap, 3), y(m, n, gap, 4), dx(m, k, gap, 5),
      dw(k, n, 0, 6);
  Strided<T> bias(1, n, 0, 7), db(1, n, 0, 8);
  const MatrixD ab = x.matrix() * w.matrix();

  ops::linear_forward(ctx, x.view, w.view, ConstTensorView(), Activation::identity, y.view);
  CHECK(worst(y.matrix(), ab) <= limit<T>(k));
  ops::linear_forward(ctx, x.view, w.view, bias.tensor.view().reshaped({n}), Activation::relu, y.view);
  const MatrixD with_bias = ab.rowwise() + bias.matrix().row(0);
  CHECK(worst(y.matrix(), with_bias.cwiseMax(0)) <= limit<T>(k));

  const MatrixD dx_before = dx.matrix(), wt = w.matrix().transpose();
  ops::linear_backward_input(ctx, dy.view, w.view, dx.view, true);
  CHECK(worst(dx.matrix(), dx_before + dy.matrix() * wt) <= limit<T>(n));
  ops::linear_backward_input(ctx, dy.view, w.view, dx.view);
  CHECK(worst(dx.matrix(), dy.matrix() * wt) <= limit<T>(n));

  const MatrixD dw_before = dw.matrix(), db_before = db.matrix();
  ops::linear_backward_params(ctx, x.view, dy.view, dw.tensor, db.tensor.view().reshaped({n}));
  CHECK(worst(dw.matrix(), dw_before + x.matrix().transpose() * dy.matrix()) <= limit<T>(m));
  if (n > 0) {
    const MatrixD sums = m > 0 ? MatrixD(dy.matrix().colwise().sum()) : MatrixD(MatrixD::Zero(1, n));
    CHECK(worst(db.matrix(), db_before + sums) <= limit<T>(m));
  }
}

}  // namespace

TEST_CASE("products equal Eigen's in double at sizes where tiles and vectors turn over") {
  for (const Backend backend : test::cpu_levels()) {
    for (const std::int64_t m : {0, 1, 2, 5, 6, 7, 12, 13, 31, 32, 33, 63, 64, 65, 129})
      for (const auto& [k, n] : std::vector<std::pair<std::int64_t, std::int64_t>>{{0, 5},
                                                                                   {1, 1},
                                                                                   {20, 1},
                                                                                   {17, 2},
                                                                                   {3, 15},
                                                                                   {20, 16},
                                                                                   {7, 17},
                                                                                   {13, 33},
                                                                                   {64, 48},
                                                                                   {21, 64},
                                                                                   {9, 65},
                                                                                   {33, 100},
                                                                                   {20, 128}}) {
        check_products<float>(backend, m, k, n, m % 3);
        check_products<double>(backend, m, k, n, n % 3);
      }
    check_products<float>(backend, 2049, 20, 72, 1);
  }
}

TEST_CASE("activations after a product equal the activation op") {
  for (const Backend backend : test::cpu_levels()) {
    Context ctx(backend);
    Strided<float> x(33, 20, 0, 1), w(20, 17, 0, 2), y(33, 17, 0, 3), z(33, 17, 0, 4);
    for (const Activation a :
         {Activation::gelu, Activation::tanh, Activation::leaky_relu, Activation::silu}) {
      ops::linear_forward(ctx, x.view, w.view, ConstTensorView(), a, y.view);
      ops::linear_forward(ctx, x.view, w.view, ConstTensorView(), Activation::identity, z.view);
      ops::activation_forward(ctx, a, z.view, z.view);
      CHECK(y.matrix() == z.matrix());
    }
  }
}

TEST_CASE("a row's bits do not depend on the batch it is in, except with Eigen's products") {
  for (const Backend backend : test::cpu_levels()) {
    if (backend == Backend::cpu_eigen) continue;
    Context ctx(backend);
    Strided<float> x(129, 37, 0, 1), w(37, 21, 0, 2), whole(129, 21, 0, 3), part(129, 21, 0, 3);
    ops::linear_forward(ctx, x.view, w.view, ConstTensorView(), Activation::identity, whole.view);
    for (const std::int64_t size : {1, 2, 7, 64}) {
      for (std::int64_t r = 0; r < 129; r += size) {
        const std::int64_t n = std::min<std::int64_t>(size, 129 - r);
        ops::linear_forward(ctx, x.view.rows(r, n), w.view, ConstTensorView(), Activation::identity,
                            part.view.rows(r, n));
      }
      CHECK(whole.matrix() == part.matrix());
    }
  }
}

TEST_CASE("bits do not depend on the number of threads") {
  for (const Backend backend : test::cpu_levels()) {
    // 1 column: Eigen's products with a vector add to their result in several steps; 40000 rows: shards
    // deeper than the blocks of its products with a matrix.
    for (const auto& [rows, columns] : std::vector<std::pair<std::int64_t, std::int64_t>>{
             {1, 33}, {64, 33}, {65, 33}, {1000, 33}, {5000, 33}, {5000, 1}, {40000, 7}}) {
      CAPTURE(to_string(backend));
      CAPTURE(rows);
      CAPTURE(columns);
      MatrixD y1, dx1, dw1, db1;
      for (const int threads : {1, 2, 3, 7}) {
        CAPTURE(threads);
        TeamPool pool(threads, backend);
        Strided<float> x(rows, 20, 0, 1), w(20, columns, 0, 2), dy(rows, columns, 0, 3),
            y(rows, columns, 0, 4), dx(rows, 20, 0, 5);
        Strided<float> dw(20, columns, 0, 6), db(1, columns, 0, 7);
        const TensorView flat_db = db.tensor.view().reshaped({columns});
        pool.run(rows, [&](Context& ctx, const ShardPlan& p) {
          const auto xs = x.view.rows(p.row_begin, p.local_rows),
                     dys = dy.view.rows(p.row_begin, p.local_rows);
          ops::linear_forward(ctx, xs, w.view, flat_db, Activation::relu,
                              y.view.rows(p.row_begin, p.local_rows));
          ops::linear_backward_input(ctx, dys, w.view, dx.view.rows(p.row_begin, p.local_rows));
          ctx.team().barrier();
          for (int twice = 0; twice < 2; ++twice)
            ops::linear_backward_params(ctx, xs, dys, dw.tensor, flat_db);
        });
        if (threads == 1) {
          y1 = y.matrix(), dx1 = dx.matrix(), dw1 = dw.matrix(), db1 = db.matrix();
        } else {
          CHECK((y.matrix() == y1));
          CHECK((dx.matrix() == dx1));
          CHECK((dw.matrix() == dw1));
          CHECK((db.matrix() == db1));
        }
      }
    }
  }
}

TEST_CASE("NaN passes through relu") {
  Context ctx;
  Tensor x = Tensor::from<float>({NAN, 1}, {2, 1}), w = Tensor::from<float>({1, 1}, {1, 2}), y({2, 2});
  ops::linear_forward(ctx, x, w, ConstTensorView(), Activation::relu, y);
  CHECK(std::isnan(y.ptr<float>()[0]));
  CHECK(y.ptr<float>()[2] == 1);
}

TEST_CASE("shapes that do not fit are named") {
  Context ctx;
  Tensor x({5, 13}), w({12, 64}), y({5, 64}), b({63}), d({5, 64}, DType::f64);
  CHECK_THROWS_WITH_AS(
      ops::linear_forward(ctx, x, w, ConstTensorView(), Activation::identity, y),
      "linear_forward: w has shape (12, 64), expected (13, 64) because x has 13 columns and y has 64 columns",
      ShapeError);
  Tensor w13({13, 64});
  CHECK_THROWS_WITH_AS(ops::linear_forward(ctx, x, w13, b, Activation::identity, y),
                       "linear_forward: bias has shape (63), expected (64) because y has 64 columns",
                       ShapeError);
  CHECK_THROWS_WITH_AS(ops::linear_forward(ctx, x, w13, ConstTensorView(), Activation::identity, d),
                       "linear_forward: y holds f64, expected f32 as x", DTypeError);
  CHECK_THROWS_WITH_AS(ops::linear_backward_input(ctx, Tensor({4, 64}), w13, x),
                       "linear_backward_input: dx has 5 rows, expected 4 as dy", ShapeError);
}

TEST_CASE("products allocate nothing once the workspace has grown") {
  Context ctx;
  Strided<float> x(300, 20, 0, 1), w(20, 33, 0, 2), dy(300, 33, 0, 3), dx(300, 20, 0, 5), dw(20, 33, 0, 6);
  const auto step = [&] {
    ops::linear_forward(ctx, x.view, w.view, ConstTensorView(), Activation::relu, dy.view);
    ops::linear_backward_input(ctx, dy.view, w.view, dx.view);
    ops::linear_backward_params(ctx, x.view, dy.view, dw.tensor, TensorView());
  };
  step();
  const auto before = allocation_count();
  step();
  CHECK(allocation_count() == before);
}
