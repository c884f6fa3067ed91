// The masked MLP proposal, H = 128, C = 5: one training step and the draws of proposal_step.h. FLOP are
// nominal: a pass 2 [4FH + 4H^2] and its head 2 [3CFH]; a training step takes 3 of both, each drawn entry a
// pass with the head of one feature, 2 [3CH].
#include "emshap/models/masked_mlp.h"
#include "proposal_step.h"
#include "step_benchmark.h"

using namespace emshap;

namespace {

constexpr std::int64_t F = bench::step_features, H = 128, C = 5, K = bench::step_draws;
using Step = bench::ProposalStep<MaskedMlp>;

void masked_mlp_step(benchmark::State& state) {
  const int threads = static_cast<int>(state.range(1));
  Step step(state.range(0), threads, false);
  bench::time_step(state, threads, 3 * 2 * step.rows() * (4 * F * H + 4 * H * H + 3 * C * F * H),
                   [&] { step.train(2e-3); });
}

void masked_mlp_draw(benchmark::State& state) {
  const int threads = static_cast<int>(state.range(1));
  Step step(state.range(0), threads, false);
  bench::time_step(state, threads, 2 * K * step.unknown() * (4 * F * H + 4 * H * H + 3 * C * H),
                   [&] { step.draw(); });
}

BENCHMARK(masked_mlp_step)->Apply(bench::batches_and_threads);
BENCHMARK(masked_mlp_draw)->Apply(bench::batches_and_threads);

}  // namespace

int main(int argc, char** argv) {
  Step step(256, 1, false);
  const double first = step.train(2e-3);
  double last = first;
  for (int i = 0; i < 60; ++i) last = step.train(2e-3);
  bench::require_fall("bench_masked_mlp_step", first, last, .02);
  bench::run_benchmarks(argc, argv);
}
