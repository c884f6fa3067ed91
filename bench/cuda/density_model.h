#pragma once
// What the benchmarks of the density model on the GPU share: models at F = 20, the set-GRU with H = 64, E =
// 16, C = 5 and an energy network of 4 layers of 128, rows, masks and noise. FLOP are nominal products as in
// bench/set_gru_step.cpp and bench/energy_step.cpp; bytes: inputs, outputs, parameters with their moments.
#include <cmath>
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
#include "emshap/ops/masked_input.h"
#include "gpu.h"

namespace emshap::bench {

inline constexpr std::int64_t F = step_features, H = 64, E = 16, C = 5, width = 128;
inline constexpr Device gpu{DeviceKind::cuda, 0};
inline constexpr double gru_flop = 2. * 3 * H * H, head_flop = 2. * (2 * H * H + 3 * C * H);

inline Tensor on(Device device, const Tensor& from) {
  Tensor to(from.shape(), from.dtype(), device);
  copy_bytes(to.view().data(), device, from.view().data(), from.device(),
             from.elements() * size_of(from.dtype()));
  return to;
}

inline double first_value(Context& ctx, const Tensor& t) {
  ctx.synchronize();
  return static_cast<double>(on({}, t).ptr<float>()[0]);
}

/// Models with their initial weights, which are the same on every device, and rows.
struct Setting {
  Setting(Device device, std::int64_t n, std::int64_t draws)
      : ctx(device),
        rows(n),
        K(draws),
        host_x(bent_rows(n)),
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

  Work drawing() const {
    const double n = static_cast<double>(rows), k = static_cast<double>(K), unknown = (F + 1) / 2.;
    return {4 * n * (2 * F + H + k * (2 * F + 1)),
            n * ((F - unknown) * gru_flop + k * unknown * (gru_flop + head_flop))};
  }
  /// Of the energy of `candidates` a row, forward.
  Work scoring(double candidates) const {
    const double n = static_cast<double>(rows), weights = F * width + 4 * width * width + width;
    return {4 * n * (F + H + candidates * (F + 1)), n * (2 * candidates * weights + 2 * (F + H) * width)};
  }
  static Work updating(ParameterStore& store) { return {4 * 9. * static_cast<double>(store.flat_size()), 0}; }

  Context ctx;
  std::int64_t rows, K;
  Tensor host_x, x;
  SetGru proposal;
  EnergyNetwork energy;
  std::vector<std::int64_t> numbers;
  std::vector<double> sizes = std::vector<double>(F, 1. / F);
  Tensor loss, norm, scale, ones, mask, weight, noise;
};

/// A step that does not learn is not worth timing.
template <class Step>
void train(benchmark::State& state, bool captured) {
  try {
    Step step(rows(state.range(0)), captured);
    step.run();
    const double first = first_value(step.setting().ctx, step.setting().loss);
    double last = 0;
    const int steps = on_processor() ? 6 : 60;
    for (int i = 0; i < steps; ++i) {
      step.run();
      if (i >= steps / 2) last += first_value(step.setting().ctx, step.setting().loss) / (steps - steps / 2);
    }
    if (!(last < first + (on_processor() ? .1 : 0.)))
      return state.SkipWithError(
          ("the loss went from " + std::to_string(first) + " to " + std::to_string(last)).c_str());
    time_calls(state, step.setting().ctx, step.work(), [&] { step.run(); });
  } catch (const Error& e) {
    state.SkipWithError(e.what());
  }
}

/// NAME_stream and NAME_graph for the batches of docs/benchmarks.md.
template <class Step>
void add_training(const std::string& name) {
  for (const bool captured : {false, true})
    for (const std::int64_t batch : {32, 256, 4096}) {
      if (on_processor() && batch > 32) break;
      benchmark::RegisterBenchmark((name + (captured ? "_graph" : "_stream")).c_str(),
                                   [=](benchmark::State& s) { train<Step>(s, captured); })
          ->ArgName("batch")
          ->Arg(batch)
          ->UseManualTime();
    }
}

}  // namespace emshap::bench
