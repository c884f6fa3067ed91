// The set-GRU proposal, H = 64, E = 16, C = 5: one training step and the draws of proposal_step.h. FLOP are
// nominal: forward of a row 2 [3FH(H+E) + FH^2 + F(F+1)/2 (2H + H^2 + 3CH)], times 3 for a training step; of
// drawing, 2 [3H(H+E)] for each known entry and 2 [3H(H+E) + 2H^2 + 2H + 3CH] for each drawn one. The input
// product of the GRU (3HE) is counted though it is never formed.
#include "emshap/models/set_gru.h"
#include "proposal_step.h"
#include "step_benchmark.h"

using namespace emshap;

namespace {

constexpr std::int64_t F = bench::step_features, H = 64, E = 16, C = 5, K = bench::step_draws;
using Step = bench::ProposalStep<SetGru>;

void set_gru_step(benchmark::State& state) {
  const int threads = static_cast<int>(state.range(1));
  Step step(state.range(0), threads, true);
  const double flop =
      3 * 2 * step.rows() * (3 * F * H * (H + E) + F * H * H + F * (F + 1) / 2 * (2 * H + H * H + 3 * C * H));
  bench::time_step(state, threads, flop, [&] { step.train(3e-3); });
}

void set_gru_draw(benchmark::State& state) {
  const int threads = static_cast<int>(state.range(1));
  Step step(state.range(0), threads, true);
  const double gru = 2 * 3 * H * (H + E), head = 2 * (2 * H * H + 2 * H + 3 * C * H);
  bench::time_step(state, threads, step.known() * gru + K * step.unknown() * (gru + head),
                   [&] { step.draw(); });
}

BENCHMARK(set_gru_step)->Apply(bench::batches_and_threads);
BENCHMARK(set_gru_draw)->Apply(bench::batches_and_threads);

}  // namespace

int main(int argc, char** argv) {
  Step step(256, 1, true);
  const double first = step.train(3e-3);
  double last = first;
  for (int i = 0; i < 60; ++i) last = step.train(3e-3);
  bench::require_fall("bench_set_gru_step", first, last, .02);
  bench::run_benchmarks(argc, argv);
}
