#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "emshap/layers/linear.h"
#include "emshap/layers/mlp_block.h"
#include "emshap/layers/residual_block.h"

namespace emshap {

struct PowerPredictorOptions {
  std::int64_t features = 0;  ///< F
  std::vector<std::int64_t> hidden{128, 64};
  Activation activation = Activation::relu;
  bool batch_norm = true;
  double dropout = .1;
  int residual_blocks = 0;  ///< after each hidden layer, of its width
  int members = 1;          ///< networks of this form, differently initialised, whose mean is predicted
  std::uint64_t seed = 42;  ///< initial weights and dropout masks
  friend bool operator==(const PowerPredictorOptions&, const PowerPredictorOptions&) = default;
};

/// Predicts one number, the power drawn, from F standardised features. Each member:
///   per hidden width: MlpBlock (Linear - BatchNorm - activation - dropout), then `residual_blocks`
///   ResidualBlocks; y (B, 1) = Linear.
/// With M > 1 members the prediction is their mean (Hansen & Salamon 1990, "Neural network ensembles"); they
/// share nothing but the input, and their parameters are named "member<m>.". Owns its parameters; see
/// layers/linear.h for the conventions of infer, forward and backward.
class EMSHAP_API PowerPredictor {
 public:
  struct MemberCache {
    std::vector<Tensor> h;  ///< (B, width): output of each block
    std::vector<MlpBlock::Cache> hidden;
    std::vector<ResidualBlock::Cache> residual;
    Linear::Cache output;
  };
  struct Cache {
    std::uint64_t step = 0;  ///< set before forward: training step, part of the keys of the dropout masks
    Tensor outputs;          ///< (B, M), only with several members and forward()
    std::vector<MemberCache> members;
  };

  /// Initialised by options.seed. Throws ConfigError for options out of range.
  explicit PowerPredictor(const PowerPredictorOptions& options, DType dtype = DType::f32, Device device = {});

  /// y (B, 1) from x (B, F): running statistics, no dropout; works through tiles of rows that stay in cache.
  void infer(Context& ctx, ConstTensorView x, TensorView y) const;
  /// Every member of a team passes its own rows and its own cache.
  void forward(Context& ctx, ConstTensorView x, TensorView y, Cache& cache);
  /// dx (B, F) or an empty view.
  void backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx);
  /// The same with y (B, M) and dy (B, M), one column a member: members trained on losses of their own differ
  /// more, and their mean errs less, than members trained on the loss of the mean.
  void forward_members(Context& ctx, ConstTensorView x, TensorView y, Cache& cache);
  void backward_members(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx);

  /// y (B, 1), in the scale of the training targets, from x (B, F), standardised, both f32.
  GraphValue to_onnx(GraphWriter& graph, const GraphValue& x) const;

  ParameterStore& store() { return *store_; }
  const ParameterStore& store() const { return *store_; }
  const PowerPredictorOptions& options() const { return options_; }

 private:
  struct Stage {
    bool residual = false;
    std::size_t index = 0;  ///< into hidden or residual
    std::int64_t width = 0;
  };
  struct Member {
    std::vector<Stage> stages;
    std::vector<MlpBlock> hidden;
    std::vector<ResidualBlock> residual;
    std::optional<Linear> output;
  };
  Member make_member(const std::string& prefix, std::uint32_t& dropout_layer);
  void infer_member(Context& ctx, const Member& member, ConstTensorView x, TensorView y, TensorView buffer1,
                    TensorView buffer2) const;
  void forward_member(Context& ctx, Member& member, ConstTensorView x, TensorView y, std::uint64_t step,
                      MemberCache& cache);
  void backward_member(Context& ctx, Member& member, const MemberCache& cache, ConstTensorView dy,
                       TensorView dx);
  std::int64_t widest() const;
  PowerPredictorOptions options_;
  std::unique_ptr<ParameterStore> store_;
  std::vector<Member> members_;
};

}  // namespace emshap
