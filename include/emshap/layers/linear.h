#pragma once
#include "emshap/layers/initialisation.h"
#include "emshap/layers/parameter_store.h"
#include "emshap/ops/activation.h"

namespace emshap {

class GraphWriter;
struct GraphValue;

struct LinearOptions {
  std::int64_t inputs = 0;   ///< K
  std::int64_t outputs = 0;  ///< N
  bool bias = true;  ///< leave it out directly before BatchNorm, where its gradient is zero up to rounding
  Activation activation = Activation::identity;  ///< fused; must have derivative_from_output
  Init init = Init::kaiming_uniform;
  Activation followed_by =
      Activation::identity;  ///< for the gain of `init` when the activation is a layer of its own
};

/// y (B, N) = activation(x (B, K) w (K, N) + b (N)). Parameters "<name>.weight" and "<name>.bias".
///
/// Conventions of all layers: infer keeps nothing and may run on several threads with contexts of their own;
/// forward fills a Cache that its caller owns, one per team member, and reuses the memory; backward adds to
/// the parameters' gradients and overwrites dx, which may be an empty view when not wanted. Views kept in a
/// cache (inputs, outputs) must stay valid and unchanged until backward. Rows are the local rows of a team's
/// batch; B = 0 is fine.
class EMSHAP_API Linear {
 public:
  struct Cache {
    ConstTensorView x;  ///< (B, K)
    ConstTensorView y;  ///< (B, N), with a fused activation
  };

  /// Adds the parameters. Throws ConfigError for sizes below 1 or an activation that cannot be fused.
  Linear(ParameterStore& store, const std::string& name, const LinearOptions& options);
  /// Draws the weights; the bias becomes 0. After ParameterStore::allocate.
  void initialise(std::uint64_t seed);

  void infer(Context& ctx, ConstTensorView x, TensorView y) const;
  void forward(Context& ctx, ConstTensorView x, TensorView y, Cache& cache);
  void backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx);

  /// The same map in a graph: nodes on f32 values (B, K), constants under the names of the parameters. All
  /// layers write what infer computes.
  GraphValue to_onnx(GraphWriter& graph, const GraphValue& x) const;

  const LinearOptions& options() const { return options_; }
  ParameterId weight() const { return weight_; }
  ParameterId bias() const { return bias_; }  ///< index -1 without bias
  const ParameterStore& store() const { return *store_; }

 private:
  ConstTensorView bias_view() const;
  LinearOptions options_;
  ParameterStore* store_;
  ParameterId weight_, bias_;
};

}  // namespace emshap
