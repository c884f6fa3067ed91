#pragma once
// The masked MLP's network and what it keeps beside the parameters.
#include <optional>

#include "core/staging.h"
#include "emshap/models/masked_mlp.h"

namespace emshap {

struct MaskedMlp::Impl {
  /// What one member keeps between the passes of a step.
  struct Member {
    Tensor x, mask, weight, numeric_weight, mu, log_sd;  // (B, F)
    Tensor input;                                        // (B, 4 F + V)
    std::vector<Tensor> h;                               // (B, H): after the first layer and each block
    Tensor top;                                          // (B, H): relu of the last
    Tensor head, logits;                                 // (B, 3 C F), (B, V); their gradients afterwards
    Tensor value;                                        // (B, F): the terms of the loss
    Tensor dtop, dh, dother;                             // (B, H)
    MlpBlock::Cache first;
    std::vector<ResidualBlock::Cache> blocks;
    Linear::Cache mixture, category;
  };

  const std::int64_t F, V, H, C;
  const FeatureLayout& layout;
  std::vector<std::int64_t> offset;                    // (F + 1)
  Tensor mean, cov;                                    // (F), (F, F) of float64
  Tensor offsets, frequencies, values, numeric, zero;  // (F + 1) i32, (V), (V), (F): 1 = numeric, (F)
  MlpBlock first;
  std::vector<ResidualBlock> blocks;
  Linear mixture;
  std::optional<Linear> category;
  std::vector<Member> members;
  Staging staging;  ///< of batches, for training on a GPU

  Impl(const MaskedMlpOptions& o, ParameterStore& store);
  void initialise(const MaskedMlpOptions& o, ParameterStore& store, DType dtype, Device device);

  std::int64_t begin(std::int64_t t) const { return offset[static_cast<std::size_t>(t)]; }
  std::int64_t count(std::int64_t t) const { return layout.categories[static_cast<std::size_t>(t)]; }
  /// The part of a vector or of columns (rows, V) that belongs to feature t.
  template <class View>
  View categories_of(std::int64_t t, const View& all) const {
    return all.reshaped({all.rows(), V}).columns(begin(t), count(t));
  }

  /// Numbers of an output of feature t.
  std::int64_t width(std::int64_t t) const { return layout.categorical(t) ? count(t) : 3 * C; }
  ConstTensorView code_rows(const FeatureRows& rows, std::int64_t from, std::int64_t n) const {
    return V == 0 ? ConstTensorView() : rows.code.rows(from, n);
  }

  /// top (n, H) from rows seen through masks beside the base's moments mu and log_sd (n, F).
  void encode(Context& ctx, ConstTensorView x, ConstTensorView code, ConstTensorView mask, ConstTensorView mu,
              ConstTensorView log_sd, TensorView top) const;
  /// q(x_t | what is known) of n rows: a mixture (n, 3 C) or log-probabilities (n, V_t).
  void feature_head(Context& ctx, std::int64_t t, ConstTensorView top, ConstTensorView mu,
                    ConstTensorView log_sd, TensorView q) const;
  /// mixture (B, 3 C F), categorical (B, V), context (B, H).
  void conditionals(Context& ctx, const FeatureRows& rows, ConstTensorView mask, TensorView mixture,
                    TensorView categorical, TensorView context) const;
  /// The state for x_S alone.
  void contexts(Context& ctx, const FeatureRows& rows, ConstTensorView mask, TensorView context) const;

  void size_member(Member& m, std::int64_t rows, DType dtype, Device device) const;
  void forward(Context& ctx, Member& m, ConstTensorView code);
  void losses(Context& ctx, Member& m, ConstTensorView code);
  void backward(Context& ctx, Member& m);
};

}  // namespace emshap
