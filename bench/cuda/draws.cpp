// The set-GRU's sampler on the GPU (16 completions of a row; coalitions x 128 draws as explanations use it),
// the energy network, and its training step beside the frozen proposal, op by op on the stream and captured
// as a graph. bench/compare/emshap_step.py --device cuda has the same steps in PyTorch.
#include "density_model.h"
#include "emshap/ops/energy_loss.h"

using namespace emshap;
using namespace emshap::bench;

namespace {

class EnergyStep {
 public:
  EnergyStep(std::int64_t rows, bool captured) : s_(gpu, rows, step_draws), graph_(captured) {
    both_ = Tensor({rows, (1 + s_.K) * F}, DType::f32, gpu);
    g_ = Tensor({rows, 1 + s_.K}, DType::f32, gpu);
    draws_.log_q_wanted = false;
  }
  void run() {
    ++step_;
    graph_.run(s_.ctx, s_.rows, [&] {
      Context& ctx = s_.ctx;
      const std::int64_t n = s_.rows, all = n * (1 + s_.K);
      s_.draw_inputs(step_);
      s_.draw(draws_);
      ops::copy(ctx, s_.x, both_.view().columns(0, F));
      ops::copy(ctx, draws_.x.view().reshaped({n, s_.K * F}), both_.view().columns(F, s_.K * F));
      ParameterStore& store = s_.energy.store();
      store.clear_gradients(ctx);
      const TensorView g = g_.view().reshaped({all});
      s_.energy.forward(ctx, both_.view().reshaped({all, F}), s_.mask, draws_.context, g, cache_);
      ops::affine(ctx, g_, -1, 0, g_);
      ops::energy_loss(ctx, EnergyLoss::binary_nce, g_, {}, s_.loss, g_);
      ops::affine(ctx, g_, -1, 0, g_);
      s_.energy.backward(ctx, cache_, g);
      s_.update(store, static_cast<std::int64_t>(step_));
    });
  }
  Setting& setting() { return s_; }
  Work work() {
    return s_.drawing() + 3 * s_.scoring(1 + static_cast<double>(s_.K)) +
           Setting::updating(s_.energy.store());
  }

 private:
  Setting s_;
  Draws draws_;
  EnergyNetwork::Cache cache_;
  Tensor both_, g_;
  StepGraph graph_;
  std::uint64_t step_ = 0;
};

/// Empty, or how many draws are not the CPU's: a quantile near the border of two components may differ.
std::string draws_differ(Setting& s, const Draws& got) {
  Setting cpu({}, s.rows, s.K);
  Draws expected;
  cpu.draw(expected);
  const Tensor here = on({}, got.x);
  std::int64_t away = 0;
  for (std::int64_t i = 0; i < here.elements(); ++i)
    away += !(std::abs(here.ptr<float>()[i] - expected.x.ptr<float>()[i]) < 1e-2f);
  if (static_cast<double>(away) <= .01 * static_cast<double>(here.elements())) return {};
  return std::to_string(away) + " of " + std::to_string(here.elements()) + " draws are not the CPU's";
}

void draw(benchmark::State& state) {
  try {
    const std::int64_t k = on_processor() ? 4 : state.range(1);
    {
      Setting few(gpu, 37, k);
      Draws out;
      few.draw(out);
      few.ctx.synchronize();
      if (const std::string text = draws_differ(few, out); !text.empty())
        return state.SkipWithError(text.c_str());
    }
    Setting s(gpu, rows(state.range(0)), k);
    Draws out;
    time_calls(state, s.ctx, s.drawing(), [&] { s.draw(out); });
  } catch (const Error& e) {
    state.SkipWithError(e.what());
  }
}

void score(benchmark::State& state) {
  try {
    Setting s(gpu, rows(state.range(0)), on_processor() ? 4 : state.range(1));
    Draws out;
    s.draw(out);
    Tensor g({s.rows * s.K}, DType::f32, gpu);
    time_calls(state, s.ctx, s.scoring(static_cast<double>(s.K)),
               [&] { s.energy.infer(s.ctx, out.x, s.mask, out.context, g); });
  } catch (const Error& e) {
    state.SkipWithError(e.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (const std::int64_t batch : {32, 256, 4096}) {
    if (on_processor() && batch > 32) break;
    benchmark::RegisterBenchmark("draw_step_stream", draw)
        ->ArgNames({"batch", "draws"})
        ->Args({batch, step_draws})
        ->UseManualTime();
  }
  const auto add = [](const char* name, void (*body)(benchmark::State&)) {
    benchmark::RegisterBenchmark(name, body)
        ->ArgNames({"coalitions", "draws"})
        ->Args({1024, 128})
        ->UseManualTime();
  };
  add("explain_sampler", draw);
  add("explain_energy", score);
  add_training<EnergyStep>("energy_step");
  return run_gpu_benchmarks(argc, argv);
}
