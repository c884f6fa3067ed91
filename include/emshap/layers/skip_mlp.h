#pragma once
#include <string>
#include <vector>

#include "emshap/layers/mlp_block.h"

namespace emshap {

/// How earlier values reach later layers.
enum class Skip : std::uint8_t {
  add,     ///< h <- h + block(h)
  concat,  ///< h <- block([h, x]): every block sees the input again
};
EMSHAP_API Skip parse_skip(const std::string& name);
EMSHAP_API const char* to_string(Skip skip);

struct SkipMlpOptions {
  std::int64_t inputs = 0;    ///< K
  std::int64_t hidden = 128;  ///< H
  std::int64_t outputs = 1;   ///< N
  int blocks = 2;             ///< blocks after the first layer
  int depth = 2;              ///< layers of a block
  Skip skip = Skip::add;
  Activation activation = Activation::relu;
  Init init = Init::kaiming_uniform;
};

/// The MLP with skip connections of EmSHAP's energy network (arXiv 2404.01078), without normalisation, so
/// that rows are independent. With act the activation and every layer having weights and bias of its own:
///   h = act(W_0 x + b_0)
///   each block:  u = h (add) or [h, x] (concat);  `depth` times  u <- act(W u + b);  h <- h + u (add) or u
///   (concat) y (B, N) = W_out u + b_out,  u = h (add) or [h, x] (concat)
/// Parameters "<name>.input.linear.*", "<name>.block<i>.<j>.linear.*" and "<name>.output.*".
class EMSHAP_API SkipMlp {
 public:
  struct Cache {
    Tensor h0;              ///< (B, H) for add, (B, H + K) for concat: [h, x] after the first layer
    std::vector<Tensor> u;  ///< (B, H): outputs of the layers of all blocks, in order
    std::vector<Tensor> h;  ///< per block: (B, H) for add, (B, H + K) for concat
    MlpBlock::Cache input;
    std::vector<MlpBlock::Cache> layers;
    Linear::Cache output;
  };

  /// Throws ConfigError for sizes below 1 or negative counts.
  SkipMlp(ParameterStore& store, const std::string& name, const SkipMlpOptions& options);
  void initialise(std::uint64_t seed);

  void infer(Context& ctx, ConstTensorView x, TensorView y) const;
  void forward(Context& ctx, ConstTensorView x, TensorView y, Cache& cache);
  void backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx);
  GraphValue to_onnx(GraphWriter& graph, const GraphValue& x) const;

  const SkipMlpOptions& options() const { return options_; }
  const MlpBlock& input() const { return input_; }
  const std::vector<MlpBlock>& layers() const { return layers_; }  ///< blocks * depth
  const Linear& output() const { return output_; }

 private:
  SkipMlpOptions options_;
  MlpBlock input_;
  std::vector<MlpBlock> layers_;
  Linear output_;
};

}  // namespace emshap
