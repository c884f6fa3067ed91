// One training step of the power predictor 20-128-64-1 with BatchNorm, ReLU, dropout 0.1, MSE and Adam: clear
// gradients, forward, loss, backward, update. bench/compare/power_step.py is the same step in PyTorch.
// FLOP are nominal: 2 * rows * weights per product, the first layer's input gradient is not needed.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/models/power_predictor.h"
#include "emshap/ops/loss.h"
#include "emshap/ops/optimizer.h"
#include "peak.h"

using namespace emshap;

namespace {

double peak(int threads) {
  static double values[65] = {};
  double& value = values[std::min(threads, 64)];
  if (value == 0) value = bench::fma_peak_gflops(threads);
  return value;
}

class PowerStep {
 public:
  PowerStep(std::int64_t rows, int threads)
      : pool_(threads),
        model_({.features = features, .hidden = {128, 64}, .dropout = .1}),
        x_({rows, features}),
        target_({rows, 1}),
        members_(static_cast<std::size_t>(threads)) {
    Generator random({.seed = 1, .purpose = RandomPurpose::test});
    for (std::int64_t i = 0; i < x_.elements(); ++i) x_.ptr<float>()[i] = static_cast<float>(random.normal());
    for (std::int64_t r = 0; r < rows; ++r) {
      const float* x = x_.ptr<float>() + r * features;
      target_.ptr<float>()[r] = x[0] + std::sin(x[1]) * x[2] + .5f * x[3] * x[3];
    }
  }

  double run() {
    ++step_;
    double loss = 0;
    pool_.run(x_.rows(), [&](Context& ctx, const ShardPlan& plan) {
      Member& m = members_[static_cast<std::size_t>(ctx.team().rank())];
      ParameterStore& store = model_.store();
      const ConstTensorView x = x_.view().rows(plan.row_begin, plan.local_rows);
      const ConstTensorView target = target_.view().rows(plan.row_begin, plan.local_rows);
      m.y.ensure({plan.local_rows, 1}, DType::f32);
      m.dy.ensure({plan.local_rows, 1}, DType::f32);
      m.loss.ensure({1}, DType::f32);
      m.cache.step = static_cast<std::uint64_t>(step_);
      store.clear_gradients(ctx);
      model_.forward(ctx, x, m.y, m.cache);
      ops::loss_forward(ctx, Loss::mse, 1, m.y, target, m.loss, m.dy);
      model_.backward(ctx, m.cache, m.dy, TensorView());
      ops::adam_step(ctx, {}, step_, store.flat_gradients(), ConstTensorView(), ConstTensorView(),
                     store.flat_values(), store.flat_moment1(), store.flat_moment2());
      if (ctx.team().rank() == 0) loss = m.loss.ptr<float>()[0];
    });
    return loss;
  }

  double flop() const {
    const double rows = static_cast<double>(x_.rows());
    return 2 * rows * (2 * features * 128 + 3 * 128 * 64 + 3 * 64);
  }

 private:
  static constexpr std::int64_t features = 20;
  struct Member {
    PowerPredictor::Cache cache;
    Tensor y, dy, loss;
  };
  TeamPool pool_;
  PowerPredictor model_;
  Tensor x_, target_;
  std::vector<Member> members_;
  std::int64_t step_ = 0;
};

/// A step that does not learn is not worth timing.
void require_learning() {
  PowerStep step(256, 1);
  const double first = step.run();
  double last = first;
  for (int i = 0; i < 200; ++i) last = step.run();
  if (!(last < .5 * first)) {
    std::fprintf(stderr, "bench_power_step: the loss went from %g to %g in 200 steps\n", first, last);
    std::exit(1);
  }
}

void power_step(benchmark::State& state) {
  const int threads = static_cast<int>(state.range(1));
  PowerStep step(state.range(0), threads);
  for (int i = 0; i < 5; ++i) step.run();
  for (auto _ : state) step.run();
  const double gflop = step.flop() * 1e-9;
  state.counters["GFLOP/s"] = benchmark::Counter(gflop, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["of_peak"] =
      benchmark::Counter(gflop / peak(threads), benchmark::Counter::kIsIterationInvariantRate);
}

BENCHMARK(power_step)->ArgNames({"batch", "threads"})->ArgsProduct({{32, 256, 4096}, {1, 2}})->UseRealTime();

}  // namespace

int main(int argc, char** argv) {
  require_learning();
  benchmark::Initialize(&argc, argv);
  benchmark::AddCustomContext("cpu_level", to_string(cpu_backend()));
  benchmark::AddCustomContext("peak_gflops_1_thread", std::to_string(peak(1)));
  benchmark::AddCustomContext("peak_gflops_2_threads", std::to_string(peak(2)));
  benchmark::RunSpecifiedBenchmarks();
}
