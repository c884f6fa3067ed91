// The training step of the set-GRU proposal on the GPU, op by op on the stream and captured as a graph.
// bench/compare/emshap_step.py --device cuda has the same step in PyTorch.
#include "density_model.h"

using namespace emshap;
using namespace emshap::bench;

namespace {

class SetGruStep {
 public:
  SetGruStep(std::int64_t rows, bool captured) : s_(gpu, rows, 1), ones_({rows, F}), graph_(captured) {
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
  Work work() {
    const double n = static_cast<double>(s_.rows);
    return Setting::updating(s_.proposal.store()) +
           Work{4 * n * 2 * F,
                3 * 2 * n *
                    (3. * F * H * (H + E) + F * H * H + F * (F + 1) / 2. * (2 * H + H * H + 3 * C * H))};
  }

 private:
  Setting s_;
  Tensor ones_;
  StepGraph graph_;
  std::uint64_t step_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  add_training<SetGruStep>("proposal_step");
  return run_gpu_benchmarks(argc, argv);
}
