#pragma once
// The held-out pairs on a GPU, where a proposal says its conditionals of them.
#include <vector>

#include "train/held_out_pairs.h"

namespace emshap {

class HeldOutOnDevice {
 public:
  /// As held_out_loss, for a proposal whose conditionals run on the context's device. The pairs travel at the
  /// first call, which also fixes the device.
  double loss(const Proposal& proposal, const HeldOutPairs& pairs, Context& ctx);

 private:
  Tensor x_, code_, mask_, density_;
  Conditionals conditionals_;
  std::vector<float> read_density_, read_log_p_;
  std::vector<double> sums_;
};

}  // namespace emshap
