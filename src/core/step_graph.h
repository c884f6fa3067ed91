#pragma once
// Runs a step of ops so that the device gets it as one piece. On CUDA the step's stream is captured, the
// graph of the step before is updated in place with what differs (scalars and addresses are kernel arguments)
// and launched; on the CPU the body is called and that is all.
//
// The body runs on the host in every step. What cannot be captured (memory that must be taken, a blocking
// copy, a wait, work for another context) breaks the capture off: nothing captured was done, and the body
// runs once more, plainly; after three such steps in a row all are run plainly. So what the body does on the
// host must be the same the second time, and it must not catch everything (catch ... without throw).
#include <cstdint>
#include <memory>
#include <type_traits>

#include "emshap/core/context.h"

namespace emshap {

class EMSHAP_API StepGraph {
 public:
  /// `captured` false: every step is run plainly, for comparison.
  explicit StepGraph(bool captured = true);
  ~StepGraph();
  StepGraph(StepGraph&&) noexcept;
  StepGraph& operator=(StepGraph&&) noexcept;

  /// One step of `size` rows. The first two, and each that is larger than all before, run plainly, so that
  /// all buffers exist.
  template <class Body>
  void run(Context& ctx, std::int64_t size, Body&& body) {
    using B = std::remove_reference_t<Body>;
    run(
        ctx, size, [](void* b) { (*static_cast<B*>(b))(); },
        const_cast<void*>(static_cast<const void*>(&body)));
  }

  std::int64_t replays() const;    ///< steps that were launched as a graph
  std::int64_t instances() const;  ///< graphs made anew, because there was none or its topology differed
  std::int64_t broken() const;     ///< captures that were given up
  /// Null, or why all steps run plainly from now on: "memory is taken", "the host waits", ...
  const char* given_up() const;

 private:
  void run(Context& ctx, std::int64_t size, void (*body)(void*), void* argument);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace emshap
