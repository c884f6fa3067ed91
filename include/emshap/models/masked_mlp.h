#pragma once
// The second proposal: one MLP for any set of known features.
//   z = [x m; m; (1 - m) mu_{t|S}; (1 - m) log s_{t|S}; one-hot codes of known categorical features]
//   h = relu(W z + b); twice h <- h + W' relu(W'' h); for each t outside S: (l, a, r)_t = W_t relu(h)
//   q(x_t | x_S) = sum_c softmax(l)_c N(x_t; mu_{t|S} + s_{t|S} a_c, [s_{t|S} (softplus(r_c) + 1e-3)]^2)
// with mu, s of the Gaussian base, started near it. A categorical feature has p_v = .99 softmax(W_t
// relu(h))_v + .01 frequency_v. log q(x_U | x_S) takes |U| passes, one for each feature with those before it
// known.
#include <memory>
#include <vector>

#include "emshap/layers/linear.h"
#include "emshap/layers/mlp_block.h"
#include "emshap/layers/residual_block.h"
#include "emshap/models/gaussian_base.h"
#include "emshap/models/proposal.h"

namespace emshap {

struct MaskedMlpOptions {
  FeatureLayout layout;
  GaussianBase base;
  std::int64_t hidden = 128;  ///< H
  int blocks = 2;
  std::int64_t components = 5;  ///< C
  std::uint64_t seed = 42;
};

/// Parameters (V: all categories), stored (inputs, outputs): "input.linear.*" (4 F + V, H),
/// "block<i>.first.linear.*", "block<i>.second.*" (H, H), "mixture.*" (H, 3 C F): per feature columns l, a,
/// r; "category.*" (H, V), only with categorical features. The context is relu(h) for x_S.
///
/// Training draws one mask a row and step: |S| by `sizes`, S uniform among the observed subsets of that size.
/// The loss is the mean over rows of the mean over their unknown observed features; a row without any counts
/// 0.
class EMSHAP_API MaskedMlp : public TrainableProposal {
 public:
  struct Impl;
  /// Initialised by options.seed. Throws ConfigError for sizes below 1, a layout that does not fit or a base
  /// of another number of features.
  explicit MaskedMlp(const MaskedMlpOptions& options, DType dtype = DType::f32, Device device = {});
  ~MaskedMlp() override;

  const FeatureLayout& layout() const override { return options_.layout; }
  std::int64_t components() const override { return options_.components; }
  std::int64_t context_width() const override { return options_.hidden; }
  DType dtype() const override { return store_.dtype(); }
  Device device() const override { return store_.device(); }
  const MaskedMlpOptions& options() const { return options_; }

  void conditionals(Context& ctx, const FeatureRows& rows, ConstTensorView mask,
                    Conditionals& out) const override;
  void sequential(Context& ctx, const FeatureRows& rows, ConstTensorView mask, ConstTensorView target,
                  Conditionals& out) const override;
  void draw(Context& ctx, const FeatureRows& rows, ConstTensorView mask, std::int64_t draws,
            ConstTensorView noise, DrawMode mode, Draws& out, ConstTensorView target = {},
            std::span<const std::int64_t> order = {}) const override;

  ParameterStore& store() override { return store_; }
  const ParameterStore& store() const override { return store_; }
  void prepare(int members, std::int64_t rows) override;
  void train(Context& ctx, const ShardPlan& plan, const ProposalBatch& batch, std::span<const double> sizes,
             const RandomKey& key, TensorView loss) override;

 private:
  MaskedMlpOptions options_;
  ParameterStore store_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace emshap
