#pragma once
#include <memory>
#include <string>
#include <vector>

#include "emshap/layers/skip_mlp.h"

namespace emshap {

enum class EnergyForm : std::uint8_t {
  residual,  ///< p = q exp(-g) / Z, g = bound tanh(raw / bound): corrects the proposal (Deng et al. 2020)
  absolute,  ///< p = exp(-E) / Z, E = raw: the paper's form (Lu et al., arXiv 2404.01078)
};
EMSHAP_API EnergyForm parse_energy_form(const std::string& name);
EMSHAP_API const char* to_string(EnergyForm form);

struct EnergyNetworkOptions {
  std::int64_t features = 0;  ///< F
  std::int64_t context = 0;   ///< H, of the proposal
  EnergyForm form = EnergyForm::residual;
  double bound = 8;  ///< of the residual form: weights within exp(-bound) .. exp(bound)
  std::int64_t hidden = 128;
  int blocks = 2;
  int depth = 2;
  Activation activation = Activation::relu;
  std::uint64_t seed = 42;
  friend bool operator==(const EnergyNetworkOptions&, const EnergyNetworkOptions&) = default;
};

/// g(x, mask, context): a skip MLP (layers/skip_mlp.h, additive) on [x (F), mask (F), context (H)]. R rows x
/// in sequence share one row of mask and context; the part of the first layer that belongs to those is
/// computed once. B counts rows of mask and context.
///
/// Owns its parameters "energy.completion.*" (of x), "energy.condition.*" (of mask and context, with the
/// bias), "energy.block<i>.<j>.linear.*", "energy.output.*". Conventions as in layers/linear.h: forward and
/// backward are collective, each member passes its own rows and its own cache.
class EMSHAP_API EnergyNetwork {
 public:
  struct Cache {
    Tensor condition;          ///< (B, F + H): [mask, context]
    Tensor shared;             ///< (B, hidden): their part of the first layer
    Tensor z0;                 ///< (B R, hidden): only for activations whose derivative needs their input
    Tensor h0;                 ///< (B R, hidden)
    std::vector<Tensor> u, h;  ///< (B R, hidden): layers of the blocks, streams after the blocks
    Tensor raw;                ///< (B R, 1): tanh(raw / bound) in the residual form
    ConstTensorView x;         ///< (B R, F), must stay valid until backward
    Linear::Cache shared_layer, output;
    std::vector<MlpBlock::Cache> layers;
  };

  /// Initialised by options.seed; the last layer starts small, so that g is near 0. Throws ConfigError for
  /// options out of range.
  explicit EnergyNetwork(const EnergyNetworkOptions& options, DType dtype = DType::f32, Device device = {});
  ~EnergyNetwork();

  /// energy (B R) from x (B R, F), mask (B, F), context (B, H). Entries of x at features that are neither
  /// known nor drawn (missing) should be 0.
  void infer(Context& ctx, ConstTensorView x, ConstTensorView mask, ConstTensorView context,
             TensorView energy) const;
  void forward(Context& ctx, ConstTensorView x, ConstTensorView mask, ConstTensorView context,
               TensorView energy, Cache& cache);
  /// Adds to the parameters' gradients; inputs get none.
  void backward(Context& ctx, const Cache& cache, ConstTensorView denergy);

  /// energy (B, 1) from x (B, F), mask (B, F), context (B, H), all f32.
  GraphValue to_onnx(GraphWriter& graph, const GraphValue& x, const GraphValue& mask,
                     const GraphValue& context) const;

  ParameterStore& store() { return *store_; }
  const ParameterStore& store() const { return *store_; }
  const EnergyNetworkOptions& options() const { return options_; }

 private:
  void first_layer(Context& ctx, ConstTensorView x, ConstTensorView shared, std::int64_t group, TensorView z,
                   TensorView h) const;
  void infer_fused(Context& ctx, ConstTensorView x, ConstTensorView mask, ConstTensorView context,
                   TensorView energy) const;
  void finish(Context& ctx, TensorView raw, TensorView energy) const;
  EnergyNetworkOptions options_;
  std::unique_ptr<ParameterStore> store_;
  Linear completion_, condition_;
  std::vector<MlpBlock> layers_;
  Linear output_;
};

}  // namespace emshap
