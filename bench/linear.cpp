// Products of the shapes that the models use: GFLOP/s and share of the multiply-add peak measured in the same
// run.
#include <benchmark/benchmark.h>

#include <Eigen/Core>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "emshap/core/context.h"
#include "emshap/core/tensor.h"
#include "emshap/ops/linear.h"
#include "peak.h"

using namespace emshap;

namespace {

double peak() {
  static const double value = bench::fma_peak_gflops(1);
  return value;
}

Tensor wave(Shape shape) {
  Tensor t(shape);
  for (std::int64_t i = 0; i < t.elements(); ++i) t.ptr<float>()[i] = std::sin(static_cast<float>(i % 997));
  return t;
}

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
Eigen::Map<Matrix> map(Tensor& t) {
  return {t.ptr<float>(), t.rows(), t.cols()};
}

/// A benchmark of a wrong result is worthless: the product is compared with Eigen's before it is timed.
void require_close(const Matrix& got, const Matrix& expected) {
  if (!((got - expected).cwiseAbs().maxCoeff() <= 1e-3f * (1 + expected.cwiseAbs().maxCoeff()))) {
    std::fputs("bench_linear: wrong product\n", stderr);
    std::exit(1);
  }
}

void report(benchmark::State& state, std::int64_t m, std::int64_t k, std::int64_t n) {
  const double flop = 2. * static_cast<double>(m) * static_cast<double>(k) * static_cast<double>(n);
  state.counters["GFLOP/s"] = benchmark::Counter(flop * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["of_peak"] =
      benchmark::Counter(flop * 1e-9 / peak(), benchmark::Counter::kIsIterationInvariantRate);
}

void forward(benchmark::State& state) {
  const auto m = state.range(0), k = state.range(1), n = state.range(2);
  Context ctx;
  Tensor x = wave({m, k}), w = wave({k, n}), b = wave({n}), y({m, n});
  ops::linear_forward(ctx, x, w, b, Activation::identity, y);
  require_close(map(y), (map(x) * map(w)).rowwise() + map(b).row(0));
  for (auto _ : state) ops::linear_forward(ctx, x, w, b, Activation::identity, y);
  report(state, m, k, n);
}

void backward_input(benchmark::State& state) {
  const auto m = state.range(0), k = state.range(1), n = state.range(2);
  Context ctx;
  Tensor dx({m, k}), w = wave({k, n}), dy = wave({m, n});
  ops::linear_backward_input(ctx, dy, w, dx);
  require_close(map(dx), map(dy) * map(w).transpose());
  for (auto _ : state) ops::linear_backward_input(ctx, dy, w, dx);
  report(state, m, k, n);
}

void backward_params(benchmark::State& state) {
  const auto m = state.range(0), k = state.range(1), n = state.range(2);
  Context ctx;
  Tensor x = wave({m, k}), dw = Tensor::zeros({k, n}), dy = wave({m, n}), db = Tensor::zeros({n});
  ops::linear_backward_params(ctx, x, dy, dw, db);
  require_close(map(dw), map(x).transpose() * map(dy));
  for (auto _ : state) ops::linear_backward_params(ctx, x, dy, dw, db);
  report(state, m, k, n);
}

void eigen_forward(benchmark::State& state) {
  const auto m = state.range(0), k = state.range(1), n = state.range(2);
  Tensor x = wave({m, k}), w = wave({k, n}), y({m, n});
  for (auto _ : state) {
    map(y).noalias() = map(x) * map(w);
    benchmark::DoNotOptimize(y.ptr<float>());
  }
  report(state, m, k, n);
}

void shapes(benchmark::internal::Benchmark* b) {
  for (const auto& s : {std::array{32, 20, 128},
                        {32, 128, 64},
                        {256, 20, 128},
                        {256, 128, 64},
                        {256, 64, 1},
                        {4096, 20, 128},
                        {4096, 128, 64},
                        {4096, 64, 1},
                        {4096, 128, 128},
                        {65536, 64, 192},
                        {256, 100, 72}})
    b->Args({s[0], s[1], s[2]});
}

BENCHMARK(forward)->Apply(shapes);
BENCHMARK(backward_input)->Apply(shapes);
BENCHMARK(backward_params)->Apply(shapes);
BENCHMARK(eigen_forward)->Apply(shapes);

}  // namespace

int main(int argc, char** argv) {
  std::printf(
      "level %s, multiply-add peak of one thread %.0f GFLOP/s, copy within 256 KiB %.0f GB/s, from memory "
      "%.0f GB/s\n",
      to_string(cpu_backend()), peak(), bench::copy_bandwidth(256 << 10), bench::copy_bandwidth(256 << 20));
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
