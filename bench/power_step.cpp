// One training step of the power predictor 20-128-64-1 with BatchNorm, ReLU, dropout 0.1, MSE and Adam: clear
// gradients, forward, loss, backward, update. bench/compare/power_step.py is the same step in PyTorch.
// FLOP are nominal: 2 * rows * weights per product, the first layer's input gradient is not needed.
#include <cmath>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/models/power_predictor.h"
#include "emshap/ops/loss.h"
#include "emshap/ops/optimizer.h"
#include "step_benchmark.h"

using namespace emshap;

namespace {

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

void power_step(benchmark::State& state) {
  const int threads = static_cast<int>(state.range(1));
  PowerStep step(state.range(0), threads);
  bench::time_step(state, threads, step.flop(), [&] { step.run(); });
}

BENCHMARK(power_step)->Apply(bench::batches_and_threads);

}  // namespace

int main(int argc, char** argv) {
  PowerStep step(256, 1);
  const double first = step.run();
  double last = first;
  for (int i = 0; i < 200; ++i) last = step.run();
  bench::require_fall("bench_power_step", first, last, .5 * first);
  bench::run_benchmarks(argc, argv);
}
