// One training step of the energy network beside a set-GRU proposal, F = 20: masks, 16 autoregressive draws a
// row, energies of data and draws, binary NCE, backward, clipping, Adam. bench/compare/emshap_step.py has the
// same step in PyTorch. FLOP are nominal products; of drawing they are those of the mean |S|, the token's
// product not counted.
#include <cmath>
#include <memory>
#include <numeric>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/models/emshap_model.h"
#include "emshap/models/set_gru.h"
#include "emshap/ops/elementwise.h"
#include "emshap/ops/energy_loss.h"
#include "emshap/ops/optimizer.h"
#include "emshap/train/masking.h"
#include "step_benchmark.h"

using namespace emshap;

namespace {

constexpr std::int64_t F = 20, H = 64, E = 16, C = 5, K = 16, width = 128;

GaussianBase equicorrelated() {
  GaussianBase base;
  base.mean.assign(F, 0);
  base.covariance.assign(F * F, .5);
  for (std::int64_t t = 0; t < F; ++t) base.covariance[static_cast<std::size_t>(t * (F + 1))] = 1.001;
  return base;
}

class EnergyStep {
 public:
  EnergyStep(std::int64_t rows, int threads)
      : pool_(threads),
        proposal_({.layout = FeatureLayout::numeric(F),
                   .base = equicorrelated(),
                   .hidden = H,
                   .embedding = E,
                   .components = C}),
        energy_({.features = F, .context = H, .hidden = width}),
        x_({rows, F}),
        numbers_(static_cast<std::size_t>(rows)),
        members_(static_cast<std::size_t>(threads)) {
    std::iota(numbers_.begin(), numbers_.end(), 0);
    Generator random({.seed = 1, .purpose = RandomPurpose::test});
    for (std::int64_t r = 0; r < rows; ++r) {
      const double common = std::sqrt(.5) * random.normal();
      for (std::int64_t t = 0; t < F; ++t)  // not Gaussian, so that the energy has something to learn
        x_.ptr<float>()[r * F + t] = static_cast<float>(common + std::abs(random.normal()) - .8);
    }
    for (Member& m : members_) m.alone = std::make_unique<Context>(pool_.main().backend());
  }

  double run() {
    ++step_;
    double loss = 0;
    pool_.run(x_.rows(), [&](Context& ctx, const ShardPlan& plan) {
      Member& m = members_[static_cast<std::size_t>(ctx.team().rank())];
      const std::int64_t n = plan.local_rows;
      const std::span<const std::int64_t> numbers(numbers_.data() + plan.row_begin,
                                                  static_cast<std::size_t>(n));
      m.mask.ensure({n, F}, DType::f32);
      m.noise.ensure({n * K, F}, DType::f32);
      m.both.ensure({n * (1 + K), F}, DType::f32);
      m.g.ensure({n * (1 + K), 1}, DType::f32);
      m.loss.ensure({1}, DType::f32);
      m.norm.ensure({1}, DType::f32);
      m.scale.ensure({1}, DType::f32);
      const auto step = static_cast<std::uint64_t>(step_);
      const ConstTensorView x = x_.view().rows(plan.row_begin, n);
      draw_masks({.seed = 1, .purpose = RandomPurpose::masking, .step = step}, numbers, {}, m.mask);
      fill_draw_noise(*m.alone, DrawNoise::independent,
                      {.seed = 1, .purpose = RandomPurpose::proposal, .step = step}, numbers, 0, K, m.noise);
      proposal_.draw(*m.alone, {x, {}}, m.mask, K, m.noise, DrawMode::autoregressive, m.draws);
      for (std::int64_t r = 0; r < n; ++r) {
        ops::copy(*m.alone, x.rows(r, 1), m.both.view().rows(r * (1 + K), 1));
        ops::copy(*m.alone, m.draws.x.view().rows(r * K, K), m.both.view().rows(r * (1 + K) + 1, K));
      }
      ParameterStore& store = energy_.store();
      store.clear_gradients(ctx);
      energy_.forward(ctx, m.both, m.mask, m.draws.context, m.g, m.cache);
      ops::affine(ctx, m.g, -1, 0, m.g);
      const TensorView scores = m.g.view().reshaped({n, 1 + K});
      ops::energy_loss(ctx, EnergyLoss::binary_nce, scores, {}, m.loss, scores);
      ops::affine(ctx, m.g, -1, 0, m.g);
      energy_.backward(ctx, m.cache, m.g);
      ops::clip_scale(ctx, store.flat_gradients(), 5, m.norm, m.scale);
      ops::adam_step(ctx, {.learning_rate = 3e-3}, step_, store.flat_gradients(), m.scale, {},
                     store.flat_values(), store.flat_moment1(), store.flat_moment2());
      if (ctx.team().rank() == 0) loss = m.loss.ptr<float>()[0];
    });
    return loss;
  }

  double flop() const {
    const double rows = static_cast<double>(x_.rows());
    const double unknown = (F + 1) / 2.0;  // mean over sizes 0 .. F - 1
    const double known = F - unknown;
    const double gru = 2 * 3 * H * H, head = 2 * (2 * H * H + 3 * C * H);  // the token needs no product
    const double drawing = known * gru + K * unknown * (gru + head);
    const double weights = F * width + 4 * width * width + width;
    const double network = 3 * (2 * (1 + K) * weights + 2 * (F + H) * width);
    return rows * (drawing + network);
  }

 private:
  struct Member {
    std::unique_ptr<Context> alone;
    Tensor mask, noise, both, g, loss, norm, scale;
    Draws draws;
    EnergyNetwork::Cache cache;
  };
  TeamPool pool_;
  SetGru proposal_;
  EnergyNetwork energy_;
  Tensor x_;
  std::vector<std::int64_t> numbers_;
  std::vector<Member> members_;
  std::int64_t step_ = 0;
};

void energy_step(benchmark::State& state) {
  const int threads = static_cast<int>(state.range(1));
  EnergyStep step(state.range(0), threads);
  bench::time_step(state, threads, step.flop(), [&] { step.run(); });
}

BENCHMARK(energy_step)->Apply(bench::batches_and_threads);

}  // namespace

int main(int argc, char** argv) {
  EnergyStep step(256, 1);
  double first = 0, last = 0;
  for (int i = 0; i < 10; ++i) first += step.run() / 10;
  for (int i = 0; i < 100; ++i) step.run();
  for (int i = 0; i < 10; ++i) last += step.run() / 10;
  bench::require_fall("bench_energy_step", first, last, .02);
  bench::run_benchmarks(argc, argv);
}
