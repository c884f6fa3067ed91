#pragma once
#include "emshap/core/tensor.h"
#include "emshap/layers/parameter_store.h"

namespace emshap {

struct GruOptions {
  std::int64_t inputs = 0;  ///< I
  std::int64_t hidden = 0;  ///< H
  std::int64_t steps = 1;   ///< T, of forward, backward and infer
};

/// One-layer GRU over T steps, as torch.nn.GRU: y_t = GRU(y_{t-1}, x_t) for x (B, T I), y (B, T H), rows =
/// sequences, so that y's last H columns are the final state. Formulas in ops/recurrent.h. Parameters
/// "<name>.weight_ih" (I, 3 H), "<name>.weight_hh" (H, 3 H), "<name>.bias_ih" (3 H) and "<name>.bias_hh" (3
/// H), gates in the order r, z, n: the transposes of PyTorch's. Conventions as in layers/linear.h.
class EMSHAP_API Gru {
 public:
  struct Cache {
    ConstTensorView x, y;  ///< (B, T I), (B, T H)
    ConstTensorView start;
    Tensor gates;  ///< (B, T 4 H)
  };

  /// Throws ConfigError for sizes below 1.
  Gru(ParameterStore& store, const std::string& name, const GruOptions& options);
  /// Weights and biases uniform on (-1 / sqrt H, 1 / sqrt H), as in PyTorch.
  void initialise(std::uint64_t seed);

  /// One step: h_next (B, H) from x (B, I) and h (B, H); h_next may be h.
  void step(Context& ctx, ConstTensorView x, ConstTensorView h, TensorView h_next) const;
  /// Starting at zero.
  void infer(Context& ctx, ConstTensorView x, TensorView y) const;
  void forward(Context& ctx, ConstTensorView x, TensorView y, Cache& cache);
  void backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx);
  /// Starting at `start` (B, H), whose gradient is written to `dstart`, which may be an empty view.
  void infer(Context& ctx, ConstTensorView x, ConstTensorView start, TensorView y) const;
  void forward(Context& ctx, ConstTensorView x, ConstTensorView start, TensorView y, Cache& cache);
  void backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx, TensorView dstart);

  const GruOptions& options() const { return options_; }
  ParameterId weight_ih() const { return weight_ih_; }
  ParameterId weight_hh() const { return weight_hh_; }
  ParameterId bias_ih() const { return bias_ih_; }
  ParameterId bias_hh() const { return bias_hh_; }
  const ParameterStore& store() const { return *store_; }

 private:
  GruOptions options_;
  ParameterStore* store_;
  ParameterId weight_ih_, weight_hh_, bias_ih_, bias_hh_;
};

}  // namespace emshap
