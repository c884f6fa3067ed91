// One training step of the power predictor 20-128-64-1 with BatchNorm, ReLU, dropout 0.1, MSE and Adam on the
// GPU, the batch in its memory: op by op on the stream, and captured and replayed as a graph.
// bench/compare/power_step.py --device cuda is the same step in PyTorch. FLOP as in bench/power_step.cpp;
// bytes: parameters, gradients and moments once, and per hidden number four passes forward (product,
// statistics, normalisation, next product) and six backward.
#include <cmath>
#include <cstdio>
#include <string>

#include "core/memory.h"
#include "core/step_graph.h"
#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "emshap/models/power_predictor.h"
#include "emshap/ops/loss.h"
#include "emshap/ops/optimizer.h"
#include "gpu.h"

using namespace emshap;

namespace {

class PowerStep {
 public:
  PowerStep(Device device, std::int64_t rows, bool captured)
      : ctx_(device),
        model_({.features = features, .hidden = {128, 64}, .dropout = .1}, DType::f32, device),
        x_({rows, features}, DType::f32, device),
        target_({rows, 1}, DType::f32, device),
        y_({rows, 1}, DType::f32, device),
        dy_({rows, 1}, DType::f32, device),
        loss_({1}, DType::f32, device),
        graph_(captured) {
    Tensor x({rows, features}), target({rows, 1});
    Generator random({.seed = 1, .purpose = RandomPurpose::test});
    for (std::int64_t i = 0; i < x.elements(); ++i) x.ptr<float>()[i] = static_cast<float>(random.normal());
    for (std::int64_t r = 0; r < rows; ++r) {
      const float* v = x.ptr<float>() + r * features;
      target.ptr<float>()[r] = v[0] + std::sin(v[1]) * v[2] + .5f * v[3] * v[3];
    }
    copy_bytes(x_.view().data(), device, x.view().data(), {}, 4 * x.elements());
    copy_bytes(target_.view().data(), device, target.view().data(), {}, 4 * rows);
  }

  void run() {
    ++step_;
    graph_.run(ctx_, x_.rows(), [&] {
      ParameterStore& store = model_.store();
      cache_.step = static_cast<std::uint64_t>(step_);
      store.clear_gradients(ctx_);
      model_.forward(ctx_, x_, y_, cache_);
      ops::loss_forward(ctx_, Loss::mse, 1, y_, target_, loss_, dy_);
      model_.backward(ctx_, cache_, dy_, TensorView());
      ops::adam_step(ctx_, {}, step_, store.flat_gradients(), ConstTensorView(), ConstTensorView(),
                     store.flat_values(), store.flat_moment1(), store.flat_moment2());
    });
  }

  double loss() {
    ctx_.synchronize();
    float value = 0;
    copy_bytes(&value, {}, loss_.view().data(), loss_.device(), 4);
    return static_cast<double>(value);
  }

  bench::Work work() {
    const double rows = static_cast<double>(x_.rows()),
                 parameters = static_cast<double>(model_.store().flat_values().elements());
    return {4 * (8 * parameters + rows * (features + 10 * (128 + 64))),
            2 * rows * (2 * features * 128 + 3 * 128 * 64 + 3 * 64)};
  }
  Context& ctx() { return ctx_; }

 private:
  static constexpr std::int64_t features = 20;
  Context ctx_;
  PowerPredictor model_;
  PowerPredictor::Cache cache_;
  Tensor x_, target_, y_, dy_, loss_;
  StepGraph graph_;
  std::int64_t step_ = 0;
};

/// Both follow the CPU's loss for some steps; then timed.
void power_step(benchmark::State& state, bool captured) {
  const std::int64_t rows = bench::rows(state.range(0));
  try {
    PowerStep step({DeviceKind::cuda, 0}, rows, captured), expected({}, rows, false);
    for (int i = 0; i < 10; ++i) {
      step.run();
      expected.run();
    }
    if (const double got = step.loss(), want = expected.loss();
        !(std::abs(got - want) < 1e-3 * std::abs(want)))
      return state.SkipWithError(
          ("the loss of step 10 is " + std::to_string(got) + ", the CPU's " + std::to_string(want)).c_str());
    bench::time_calls(state, step.ctx(), step.work(), [&] { step.run(); });
  } catch (const Error& e) {
    state.SkipWithError(e.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (const bool captured : {false, true})
    benchmark::RegisterBenchmark(captured ? "power_step_graph" : "power_step_stream",
                                 [=](benchmark::State& state) { power_step(state, captured); })
        ->ArgName("batch")
        ->Arg(32)
        ->Arg(256)
        ->Arg(4096)
        ->UseManualTime();
  return bench::run_gpu_benchmarks(argc, argv);
}
