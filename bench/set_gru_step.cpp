// The set-GRU proposal at F = 20, H = 64, E = 16, C = 5: one training step (clear gradients, loss and
// gradient over all prefixes of a random order, Adam), and 16 draws of all features a row. FLOP are nominal,
// as in docs/benchmarks.md: forward of a row 2 [3FH(H+E) + FH^2 + F(F+1)/2 (2H + H^2 + 3CH)], times 3 for a
// training step; a draw 2 F [3H(H+E) + H^2 + 2H + H^2 + 3CH]. The input product of the GRU (3HE) is counted
// though it is never formed.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/models/set_gru.h"
#include "emshap/ops/optimizer.h"
#include "peak.h"

using namespace emshap;

namespace {

constexpr std::int64_t F = 20, H = 64, E = 16, C = 5, K = 16;

double peak(int threads) {
  static double values[65] = {};
  double& value = values[std::min(threads, 64)];
  if (value == 0) value = bench::fma_peak_gflops(threads);
  return value;
}

/// Standardised columns with a common factor and a bend, which a Gaussian does not have.
Tensor make_rows(std::int64_t rows) {
  Tensor x({rows, F}, DType::f32);
  Generator random({.seed = 1, .purpose = RandomPurpose::test});
  for (std::int64_t r = 0; r < rows; ++r) {
    const double common = random.normal();
    for (std::int64_t t = 0; t < F; ++t) {
      const double bend = t % 2 == 0 ? common : (common * common - 1) / std::sqrt(2.0);
      x.ptr<float>()[r * F + t] = static_cast<float>(.8 * bend + .6 * random.normal());
    }
  }
  return x;
}

class SetGruStep {
 public:
  SetGruStep(std::int64_t rows, int threads)
      : pool_(threads),
        x_(make_rows(rows)),
        ones_({rows, F}, DType::f32),
        zeros_(Tensor::zeros({rows, F}, DType::f32)),
        noise_({rows * K, 2 * F}, DType::f32),
        model_({.layout = FeatureLayout::numeric(F), .base = GaussianBase::fit(x_)}),
        members_(static_cast<std::size_t>(threads)) {
    std::fill_n(ones_.ptr<float>(), ones_.elements(), 1.f);
    Generator random({.seed = 2, .purpose = RandomPurpose::test});
    for (std::int64_t i = 0; i < noise_.elements(); ++i)
      noise_.ptr<float>()[i] = std::clamp(static_cast<float>(random.uniform()), .0001f, .9999f);
    model_.prepare(threads, rows);
  }

  double train() {
    ++step_;
    double loss = 0;
    const RandomKey key{
        .seed = 3, .purpose = RandomPurpose::masking, .step = static_cast<std::uint64_t>(step_)};
    pool_.run(
        x_.rows(),
        [&](Context& ctx, const ShardPlan& plan) {
          Member& m = members_[static_cast<std::size_t>(ctx.team().rank())];
          ParameterStore& store = model_.store();
          m.loss.ensure({1}, DType::f32);
          store.clear_gradients(ctx);
          const ProposalBatch batch{{x_.view().rows(plan.row_begin, plan.local_rows), {}},
                                    ones_.view().rows(plan.row_begin, plan.local_rows)};
          model_.train(ctx, plan, batch, sizes_, key, m.loss);
          ops::adam_step(ctx, {.learning_rate = 3e-3}, step_, store.flat_gradients(), ConstTensorView(),
                         ConstTensorView(), store.flat_values(), store.flat_moment1(), store.flat_moment2());
          if (ctx.team().rank() == 0) loss = m.loss.ptr<float>()[0];
        },
        ShardPlan::fine_quantum(x_.rows()));
    return loss;
  }

  void draw() {
    pool_.run(
        x_.rows(),
        [&](Context& ctx, const ShardPlan& plan) {
          Member& m = members_[static_cast<std::size_t>(ctx.team().rank())];
          model_.draw(ctx, {x_.view().rows(plan.row_begin, plan.local_rows), {}},
                      zeros_.view().rows(plan.row_begin, plan.local_rows), K,
                      noise_.view().rows(plan.row_begin * K, plan.local_rows * K), DrawMode::autoregressive,
                      m.draws);
        },
        ShardPlan::fine_quantum(x_.rows()));
  }

  double train_flop() const {
    return 3 * 2 * static_cast<double>(x_.rows()) *
           (3 * F * H * (H + E) + F * H * H + F * (F + 1) / 2 * (2 * H + H * H + 3 * C * H));
  }
  double draw_flop() const {
    return 2 * static_cast<double>(x_.rows() * K) * F * (3 * H * (H + E) + H * H + 2 * H + H * H + 3 * C * H);
  }

 private:
  struct Member {
    Tensor loss;
    Draws draws;
  };
  TeamPool pool_;
  Tensor x_, ones_, zeros_, noise_;
  SetGru model_;
  std::vector<double> sizes_ = std::vector<double>(F, 1.0 / F);
  std::vector<Member> members_;
  std::int64_t step_ = 0;
};

/// A step that does not learn is not worth timing.
void require_learning() {
  SetGruStep step(256, 1);
  const double first = step.train();
  double last = 0;
  for (int i = 0; i < 60; ++i) last = step.train();
  if (!(last < first - .02)) {
    std::fprintf(stderr, "bench_set_gru_step: the loss went from %g to %g in 60 steps\n", first, last);
    std::exit(1);
  }
}

void report(benchmark::State& state, double flop, int threads) {
  const double gflop = flop * 1e-9;
  state.counters["GFLOP/s"] = benchmark::Counter(gflop, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["of_peak"] =
      benchmark::Counter(gflop / peak(threads), benchmark::Counter::kIsIterationInvariantRate);
}

void set_gru_step(benchmark::State& state) {
  const int threads = static_cast<int>(state.range(1));
  SetGruStep step(state.range(0), threads);
  for (int i = 0; i < 2; ++i) step.train();
  for (auto _ : state) step.train();
  report(state, step.train_flop(), threads);
}

void set_gru_draw(benchmark::State& state) {
  const int threads = static_cast<int>(state.range(1));
  SetGruStep step(state.range(0), threads);
  step.draw();
  for (auto _ : state) step.draw();
  report(state, step.draw_flop(), threads);
}

BENCHMARK(set_gru_step)
    ->ArgNames({"batch", "threads"})
    ->ArgsProduct({{32, 256, 4096}, {1, 2}})
    ->UseRealTime();
BENCHMARK(set_gru_draw)
    ->ArgNames({"batch", "threads"})
    ->ArgsProduct({{32, 256, 4096}, {1, 2}})
    ->UseRealTime();

}  // namespace

int main(int argc, char** argv) {
  require_learning();
  benchmark::Initialize(&argc, argv);
  benchmark::AddCustomContext("cpu_level", to_string(cpu_backend()));
  benchmark::AddCustomContext("peak_gflops_1_thread", std::to_string(peak(1)));
  benchmark::AddCustomContext("peak_gflops_2_threads", std::to_string(peak(2)));
  benchmark::RunSpecifiedBenchmarks();
}
