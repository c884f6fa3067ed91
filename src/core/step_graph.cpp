#include "core/step_graph.h"

#include <algorithm>
#include <vector>

#include "core/cuda_runtime.h"

namespace emshap {
namespace {
constexpr int most_broken =
    3;  // captures given up one after the other: the step is not one that can be captured
}

struct StepGraph::Impl {
  /// Steps of other sizes often have another topology: each size has its graph. There are few.
  struct Kept {
    std::int64_t size;
    void* exec;
  };
  bool captured = true;
  const char* given_up = nullptr;
  std::int64_t plain = 0, largest = -1;
  std::int64_t replays = 0, instances = 0, broken = 0;
  std::vector<Kept> kept;
  int broken_in_a_row = 0;
  static constexpr std::size_t most_kept = 4;

  ~Impl() {
    for (const Kept& k : kept)
      if (k.exec != nullptr) cuda_runtime::destroy_graph_exec(k.exec);
  }

  void*& exec(std::int64_t size) {
    for (Kept& k : kept)
      if (k.size == size) return k.exec;
    if (kept.size() < most_kept) kept.push_back({size, nullptr});
    kept.back().size = size;
    return kept.back().exec;
  }
};

StepGraph::StepGraph(bool captured) : impl_(std::make_unique<Impl>()) {
  impl_->captured = captured;
}
StepGraph::~StepGraph() = default;
StepGraph::StepGraph(StepGraph&&) noexcept = default;
StepGraph& StepGraph::operator=(StepGraph&&) noexcept = default;

std::int64_t StepGraph::replays() const {
  return impl_->replays;
}
std::int64_t StepGraph::instances() const {
  return impl_->instances;
}
std::int64_t StepGraph::broken() const {
  return impl_->broken;
}

const char* StepGraph::given_up() const {
  return impl_->given_up;
}

void StepGraph::run(Context& ctx, std::int64_t size, void (*body)(void*), void* argument) {
  Impl& g = *impl_;
  if (ctx.device().kind == DeviceKind::cpu || !g.captured || !cuda_runtime::capture_wanted()) {
    body(argument);
    return;
  }
  if (g.plain < 2 || size > g.largest) {
    ++g.plain;
    g.largest = std::max(g.largest, size);
    body(argument);
    return;
  }
  cuda_runtime::begin_capture(ctx.stream());
  try {
    body(argument);
  } catch (const cuda_runtime::CaptureBroken& broken) {
    cuda_runtime::abandon_capture(ctx.stream());
    ++g.broken;
    if (++g.broken_in_a_row == most_broken) {
      g.captured = false;
      g.given_up = broken.what;
    }
    body(argument);
    return;
  } catch (...) {
    cuda_runtime::abandon_capture(ctx.stream());
    throw;
  }
  void* const graph = cuda_runtime::end_capture(ctx.stream());
  void*& exec = g.exec(size);
  if (cuda_runtime::update_graph(exec, graph)) ++g.instances;
  cuda_runtime::launch_graph(exec, ctx.stream());
  ++g.replays;
  g.broken_in_a_row = 0;
}

}  // namespace emshap
