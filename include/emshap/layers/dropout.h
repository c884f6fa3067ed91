#pragma once
#include "emshap/core/context.h"
#include "emshap/core/random.h"
#include "emshap/core/tensor_view.h"

namespace emshap {

struct DropoutOptions {
  double probability = 0;  ///< of a zero, 0 <= p < 1
  std::uint64_t seed = 0;
  std::uint32_t layer = 0;  ///< distinguishes the dropout layers of a network
};

/// y = x * keep / (1 - p) in forward, y = x in infer. The mask depends on (seed, layer, step, row of the
/// batch, column) only and is recomputed in backward.
class EMSHAP_API Dropout {
 public:
  struct Cache {
    std::uint64_t step = 0;  ///< set before forward: training step, part of the key
    RandomKey key;
  };

  /// Throws ConfigError for a probability outside [0, 1).
  explicit Dropout(const DropoutOptions& options);
  /// y may be x in all three.
  void infer(Context& ctx, ConstTensorView x, TensorView y) const;
  void forward(Context& ctx, ConstTensorView x, TensorView y, Cache& cache) const;
  void backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx) const;
  const DropoutOptions& options() const { return options_; }

 private:
  DropoutOptions options_;
};

}  // namespace emshap
