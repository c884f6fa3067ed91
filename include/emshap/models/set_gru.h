#pragma once
// The order-agnostic GRU over sets ("set-GRU"), the default proposal. A is a set of features, h_A its state:
//   token tau_t(x) = x_t a_t + b_t; h_{A + t} = GRU(h_A, tau_t(x)), started at a learned h_{}
//   u = relu(W1 [h_A; mu_{t|A}; log s_{t|A}] + e_t), u <- u + relu(W2 u), (l, a, r) = W3 u + b3
//   q(x_t | x_A) = sum_c softmax(l)_c N(x_t; mu_{t|A} + s_{t|A} a_c, [s_{t|A} (softplus(r_c) + 1e-3)]^2)
// with mu, s of the Gaussian base. A categorical feature reads its category's embedding in place of b_t, and
// its head is p_v = .99 softmax(u W_t)_v + .01 frequency_v. Known and drawn features are the same kind of
// step.
#include <memory>

#include "emshap/layers/parameter_store.h"
#include "emshap/models/gaussian_base.h"
#include "emshap/models/proposal.h"

namespace emshap {

struct SetGruOptions {
  FeatureLayout layout;
  GaussianBase base;
  std::int64_t hidden = 64;     ///< H
  std::int64_t embedding = 16;  ///< E
  std::int64_t components = 5;  ///< C
  std::uint64_t seed = 42;
  /// With more features than this, a row trains on `sampled_pairs` random (prefix, target) pairs instead of
  /// all F (F + 1) / 2; the expectation of loss and gradient is the same.
  std::int64_t all_pairs_up_to = 32;
  std::int64_t sampled_pairs = 64;
  std::int64_t gpu_tile_rows = 0;  ///< rows that pass together when training on a GPU; 0: by memory
};

/// Parameters (V: all categories), stored (inputs, outputs):
///   token.scale (F, E), token.shift (F + V, E): rows 0..F-1 are b_t, the others the categories' embeddings
///   gru.weight_ih (E, 3H), gru.weight_hh (H, 3H), gru.bias_ih (3H), gru.bias_hh (3H): gates r, z, n
///   start (H); head.state (H, H), head.moments (2, H): rows for mu and log s, head.feature (F, H): e_t
///   head.hidden (H, H): W2; head.mixture (H, 3C), head.mixture_bias (3C): columns l, a, r
///   head.category (H, V), head.category_bias (V), only with categorical features
class EMSHAP_API SetGru : public TrainableProposal {
 public:
  /// Initialised by options.seed. Throws ConfigError for sizes below 1, a layout that does not fit or a base
  /// of another number of features.
  explicit SetGru(const SetGruOptions& options, DType dtype = DType::f32, Device device = {});
  ~SetGru() override;

  const FeatureLayout& layout() const override { return options_.layout; }
  std::int64_t components() const override { return options_.components; }
  std::int64_t context_width() const override { return options_.hidden; }
  DType dtype() const override { return store_.dtype(); }
  Device device() const override { return store_.device(); }
  const SetGruOptions& options() const { return options_; }

  void conditionals(Context& ctx, const FeatureRows& rows, ConstTensorView mask,
                    Conditionals& out) const override;
  void sequential(Context& ctx, const FeatureRows& rows, ConstTensorView mask, ConstTensorView target,
                  Conditionals& out) const override;
  void draw(Context& ctx, const FeatureRows& rows, ConstTensorView mask, std::int64_t draws,
            ConstTensorView noise, DrawMode mode, Draws& out, ConstTensorView target = {},
            std::span<const std::int64_t> order = {}) const override;

  /// out (B) = log q(x_U | x_S), U the features where `target` (B, F) is 1: the sum of sequential's log
  /// densities at the rows' own values (density of numeric, mass of categorical features), in ascending
  /// order.
  void log_density(Context& ctx, const FeatureRows& rows, ConstTensorView mask, ConstTensorView target,
                   TensorView out) const;

  ParameterStore& store() override { return store_; }
  const ParameterStore& store() const override { return store_; }
  void prepare(int members, std::int64_t rows) override;
  void train(Context& ctx, const ShardPlan& plan, const ProposalBatch& batch, std::span<const double> sizes,
             const RandomKey& key, TensorView loss) override;

  struct Impl;

 private:
  SetGruOptions options_;
  ParameterStore store_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace emshap
