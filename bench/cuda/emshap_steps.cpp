// The density model on the GPU at F = 20: the training step of the set-GRU proposal (H = 64, E = 16, C = 5),
// 16 completions of each row, the training step of the energy network (4 layers of 128) beside the frozen
// proposal, and the sampler and the energy as explanations use them (coalitions x 128 draws). Training steps
// op by op on the stream and captured as a graph. FLOP are nominal products as in bench/set_gru_step.cpp and
// bench/energy_step.cpp; bytes: inputs, outputs, parameters with their moments. bench/compare/emshap_step.py
// --device cuda has the same steps in PyTorch.
#include <cmath>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "../proposal_step.h"
#include "core/memory.h"
#include "core/step_graph.h"
#include "emshap/core/error.h"
#include "emshap/models/energy_network.h"
#include "emshap/models/set_gru.h"
#include "emshap/ops/draw_noise.h"
#include "emshap/ops/elementwise.h"
#include "emshap/ops/energy_loss.h"
#include "emshap/ops/masked_input.h"
#include "gpu.h"

using namespace emshap;

namespace {

constexpr std::int64_t F = bench::step_features, H = 64, E = 16, C = 5, width = 128;
constexpr Device gpu{DeviceKind::cuda, 0};
constexpr double gru_flop = 2. * 3 * H * H, head_flop = 2. * (2 * H * H + 3 * C * H);

Tensor on(Device device, const Tensor& from) {
  Tensor to(from.shape(), from.dtype(), device);
  copy_bytes(to.view().data(), device, from.view().data(), from.device(),
             from.elements() * size_of(from.dtype()));
  return to;
}

double first_value(Context& ctx, const Tensor& t) {
  ctx.synchronize();
  return static_cast<double>(on({}, t).ptr<float>()[0]);
}

/// Models with their initial weights, which are the same on every device, and rows.
struct Setting {
  Setting(Device device, std::int64_t n, std::int64_t draws)
      : ctx(device),
        rows(n),
        K(draws),
        host_x(bench::bent_rows(n)),
        x(on(device, host_x)),
        proposal({.layout = FeatureLayout::numeric(F),
                  .base = GaussianBase::fit(host_x),
                  .hidden = H,
                  .embedding = E,
                  .components = C},
                 DType::f32, device),
        energy({.features = F, .context = H, .hidden = width}, DType::f32, device),
        numbers(static_cast<std::size_t>(n)) {
    std::iota(numbers.begin(), numbers.end(), 0);
    for (Tensor* t : {&loss, &norm, &scale}) t->ensure({1}, DType::f32, device);
    ones = Tensor({n, F}, DType::f32, device);
    ops::fill(ctx, 1, ones);
    mask = Tensor({n, F}, DType::f32, device);
    weight = Tensor({n, F}, DType::f32, device);
    noise = Tensor({n * K, F}, DType::f32, device);
    draw_inputs(0);
  }

  /// Masks of sizes 0..F-1 and noise of a step.
  void draw_inputs(std::uint64_t step) {
    ops::random_masks(ctx, {.seed = 1, .purpose = RandomPurpose::masking, .step = step}, 0, sizes, 1, ones,
                      mask, weight);
    ops::fill_draw_noise(ctx, DrawNoise::independent,
                         {.seed = 1, .purpose = RandomPurpose::proposal, .step = step}, numbers, 0, K, noise);
  }

  void draw(Draws& out) { proposal.draw(ctx, {x, {}}, mask, K, noise, DrawMode::autoregressive, out); }

  void update(ParameterStore& store, std::int64_t step) {
    ops::clip_scale(ctx, store.flat_gradients(), 5, norm, scale);
    ops::adam_step(ctx, {.learning_rate = 3e-3}, step, store.flat_gradients(), scale, {}, store.flat_values(),
                   store.flat_moment1(), store.flat_moment2());
  }

  bench::Work drawing() const {
    const double n = static_cast<double>(rows), k = static_cast<double>(K), unknown = (F + 1) / 2.;
    return {4 * n * (2 * F + H + k * (2 * F + 1)),
            n * ((F - unknown) * gru_flop + k * unknown * (gru_flop + head_flop))};
  }
  /// Of the energy of `candidates` a row, forward.
  bench::Work scoring(double candidates) const {
    const double n = static_cast<double>(rows), weights = F * width + 4 * width * width + width;
    return {4 * n * (F + H + candidates * (F + 1)), n * (2 * candidates * weights + 2 * (F + H) * width)};
  }
  static bench::Work updating(ParameterStore& store) {
    return {4 * 9. * static_cast<double>(store.flat_size()), 0};
  }

  Context ctx;
  std::int64_t rows, K;
  Tensor host_x, x;
  SetGru proposal;
  EnergyNetwork energy;
  std::vector<std::int64_t> numbers;
  std::vector<double> sizes = std::vector<double>(F, 1. / F);
  Tensor loss, norm, scale, ones, mask, weight, noise;
};

class ProposalStep {
 public:
  ProposalStep(std::int64_t rows, bool captured) : s_(gpu, rows, 1), ones_({rows, F}), graph_(captured) {
    std::fill_n(ones_.ptr<float>(), ones_.elements(), 1.f);
    s_.proposal.store().enable_ema();
    s_.proposal.prepare(1, rows);
  }
  void run() {
    ++step_;
    graph_.run(s_.ctx, s_.rows, [&] {
      ParameterStore& store = s_.proposal.store();
      store.clear_gradients(s_.ctx);
      s_.proposal.train(s_.ctx, s_.ctx.plan(s_.rows), {{s_.host_x, {}}, ones_}, s_.sizes,
                        {.seed = 3, .purpose = RandomPurpose::masking, .step = step_}, s_.loss);
      s_.update(store, static_cast<std::int64_t>(step_));
      ops::ema_update(s_.ctx, .99, store.flat_values(), store.flat_ema());
    });
  }
  Setting& setting() { return s_; }
  bench::Work work() {
    const double n = static_cast<double>(s_.rows);
    return Setting::updating(s_.proposal.store()) +
           bench::Work{4 * n * 2 * F, 3 * 2 * n *
                                          (3. * F * H * (H + E) + F * H * H +
                                           F * (F + 1) / 2. * (2 * H + H * H + 3 * C * H))};
  }

 private:
  Setting s_;
  Tensor ones_;
  StepGraph graph_;
  std::uint64_t step_ = 0;
};

class EnergyStep {
 public:
  EnergyStep(std::int64_t rows, bool captured) : s_(gpu, rows, bench::step_draws), graph_(captured) {
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
  bench::Work work() {
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

/// A step that does not learn is not worth timing.
template <class Step>
void train(benchmark::State& state, bool captured) {
  try {
    Step step(bench::rows(state.range(0)), captured);
    step.run();
    const double first = first_value(step.setting().ctx, step.setting().loss);
    double last = 0;
    const int steps = bench::on_processor() ? 6 : 60;
    for (int i = 0; i < steps; ++i) {
      step.run();
      if (i >= steps / 2) last += first_value(step.setting().ctx, step.setting().loss) / (steps - steps / 2);
    }
    if (!(last < first + (bench::on_processor() ? .1 : 0.)))
      return state.SkipWithError(
          ("the loss went from " + std::to_string(first) + " to " + std::to_string(last)).c_str());
    bench::time_calls(state, step.setting().ctx, step.work(), [&] { step.run(); });
  } catch (const Error& e) {
    state.SkipWithError(e.what());
  }
}

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
    const std::int64_t k = bench::on_processor() ? 4 : state.range(1);
    {
      Setting few(gpu, 37, k);
      Draws out;
      few.draw(out);
      few.ctx.synchronize();
      if (const std::string text = draws_differ(few, out); !text.empty())
        return state.SkipWithError(text.c_str());
    }
    Setting s(gpu, bench::rows(state.range(0)), k);
    Draws out;
    bench::time_calls(state, s.ctx, s.drawing(), [&] { s.draw(out); });
  } catch (const Error& e) {
    state.SkipWithError(e.what());
  }
}

void score(benchmark::State& state) {
  try {
    Setting s(gpu, bench::rows(state.range(0)), bench::on_processor() ? 4 : state.range(1));
    Draws out;
    s.draw(out);
    Tensor g({s.rows * s.K}, DType::f32, gpu);
    bench::time_calls(state, s.ctx, s.scoring(static_cast<double>(s.K)),
                      [&] { s.energy.infer(s.ctx, out.x, s.mask, out.context, g); });
  } catch (const Error& e) {
    state.SkipWithError(e.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto add = [](const char* name, const std::function<void(benchmark::State&)>& body) {
    return benchmark::RegisterBenchmark(name, body)->UseManualTime();
  };
  for (const std::int64_t batch : {32, 256, 4096}) {
    if (bench::on_processor() && batch > 32) break;
    for (const bool captured : {false, true}) {
      const std::string how = captured ? "graph" : "stream";
      add(("proposal_step_" + how).c_str(), [=](benchmark::State& s) { train<ProposalStep>(s, captured); })
          ->ArgName("batch")
          ->Arg(batch);
      add(("energy_step_" + how).c_str(), [=](benchmark::State& s) { train<EnergyStep>(s, captured); })
          ->ArgName("batch")
          ->Arg(batch);
    }
    add("draw_step_stream", draw)->ArgNames({"batch", "draws"})->Args({batch, bench::step_draws});
  }
  add("explain_sampler", draw)->ArgNames({"coalitions", "draws"})->Args({1024, 128});
  add("explain_energy", score)->ArgNames({"coalitions", "draws"})->Args({1024, 128});
  return bench::run_gpu_benchmarks(argc, argv);
}
