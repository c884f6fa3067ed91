#pragma once
// The plain Gaussian as a proposal: the baseline that every network is measured against. In a standardised
// space it is the method "Gaussian", in a space of normal scores the Gaussian copula (Aas, Jullum & Loland
// 2021).
#include "emshap/models/gaussian_base.h"
#include "emshap/models/proposal.h"

namespace emshap {

/// One component: q(x_t | x_A) = N(mu_{t|A}, s^2_{t|A}). A categorical feature counts as a number; a
/// category's probability is the mass between the midpoints to its neighbours' values, open at both ends, and
/// a draw becomes the category that it falls on, so that the score of such columns can be compared with a
/// network's. The context holds one column of zeros. On the CPU only.
class EMSHAP_API GaussianProposal : public Proposal {
 public:
  /// Throws ConfigError when base and layout have different numbers of features.
  GaussianProposal(FeatureLayout layout, GaussianBase base, DType dtype = DType::f32);

  const FeatureLayout& layout() const override { return layout_; }
  std::int64_t components() const override { return 1; }
  std::int64_t context_width() const override { return 1; }
  DType dtype() const override { return dtype_; }
  Device device() const override { return {}; }
  const GaussianBase& base() const { return base_; }

  void conditionals(Context& ctx, const FeatureRows& rows, ConstTensorView mask,
                    Conditionals& out) const override;
  void sequential(Context& ctx, const FeatureRows& rows, ConstTensorView mask, ConstTensorView target,
                  Conditionals& out) const override;
  void draw(Context& ctx, const FeatureRows& rows, ConstTensorView mask, std::int64_t draws,
            ConstTensorView noise, DrawMode mode, Draws& out, ConstTensorView target = {},
            std::span<const std::int64_t> order = {}) const override;

 private:
  struct Impl;
  FeatureLayout layout_;
  GaussianBase base_;
  DType dtype_;
  Tensor mean_, cov_;                 // (F), (F, F) of float64
  std::vector<std::int64_t> offset_;  // (F + 1): where a feature's categories begin
};

}  // namespace emshap
