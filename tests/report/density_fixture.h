#pragma once
// Small data with known distributions, and a proposal that says the same whatever it is given.
#include <cmath>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "emshap/core/random.h"
#include "emshap/data/feature_space.h"
#include "emshap/data/table.h"
#include "emshap/models/emshap_model.h"
#include "emshap/models/gaussian_base.h"
#include "emshap/models/gaussian_proposal.h"
#include "emshap/report/density_scores.h"

namespace emshap::test {

inline Table table_of(const Tensor& raw) {
  std::vector<ColumnSpec> schema;
  for (std::int64_t c = 0; c < raw.cols(); ++c)
    schema.push_back({std::string(1, static_cast<char>('a' + c)), ColumnType::f32, ColumnRole::feature});
  Table table(schema);
  for (std::int64_t r = 0; r < raw.rows(); ++r)
    for (std::int64_t c = 0; c < raw.cols(); ++c) {
      const float value = raw.ptr<float>()[r * raw.cols() + c];
      Column& column = table.columns()[static_cast<std::size_t>(c)];
      if (std::isnan(value))
        column.push_missing();
      else
        column.push_f32(value);
    }
  table.provenance().source = "sample";
  return table;
}

/// Fits on the first `train` rows (0: all).
inline FeatureSpace fit_space(const Tensor& raw, FeatureSpaceOptions options, std::int64_t train = 0) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(train == 0 ? raw.rows() : train));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  return FeatureSpace::fit(table_of(raw), rows, {}, options);
}

/// Rows of a Gaussian with unit variances and one correlation, stretched by `scale` and moved by `shift`.
inline Tensor gaussian_rows(std::int64_t rows, std::int64_t features, double correlation, std::uint64_t seed,
                            double scale = 1, double shift = 0) {
  Tensor out({rows, features});
  for (std::int64_t r = 0; r < rows; ++r) {
    Generator random({seed, RandomPurpose::test, 0, 0}, static_cast<std::uint64_t>(r));
    const double common = random.normal();
    for (std::int64_t t = 0; t < features; ++t)
      out.ptr<float>()[r * features + t] = static_cast<float>(
          shift + scale * (std::sqrt(correlation) * common + std::sqrt(1 - correlation) * random.normal()));
  }
  return out;
}

/// Equicorrelated with unit variances, in model space.
inline GaussianBase equicorrelated(std::int64_t features, double correlation) {
  GaussianBase base;
  base.mean.assign(static_cast<std::size_t>(features), 0);
  base.covariance.assign(static_cast<std::size_t>(features * features), correlation);
  for (std::int64_t t = 0; t < features; ++t) base.covariance[static_cast<std::size_t>(t * features + t)] = 1;
  return base;
}

inline std::unique_ptr<Proposal> gaussian_proposal(std::int64_t features, double correlation,
                                                   DType dtype = DType::f64) {
  return std::make_unique<GaussianProposal>(FeatureLayout::numeric(features),
                                            equicorrelated(features, correlation), dtype);
}

/// One mixture for every numeric feature and one list of probabilities for every categorical one.
class ConstantProposal : public Proposal {
 public:
  ConstantProposal(FeatureLayout layout, std::vector<double> mixture, std::vector<double> log_p)
      : layout_(std::move(layout)), mixture_(std::move(mixture)), log_p_(std::move(log_p)) {}
  const FeatureLayout& layout() const override { return layout_; }
  std::int64_t components() const override { return static_cast<std::int64_t>(mixture_.size() / 3); }
  std::int64_t context_width() const override { return 2; }
  DType dtype() const override { return DType::f64; }
  Device device() const override { return {}; }
  void conditionals(Context&, const FeatureRows& rows, ConstTensorView, Conditionals& out) const override {
    const std::int64_t b = rows.x.rows(), f = layout_.features(), v = layout_.total_categories();
    out.mixture.ensure({b, f, 3 * components()}, DType::f64);
    out.categorical.ensure({b, v}, DType::f64);
    out.context.ensure({b, 2}, DType::f64);
    for (std::int64_t r = 0; r < b; ++r) {
      for (std::int64_t t = 0; t < f; ++t)
        for (std::size_t i = 0; i < mixture_.size(); ++i)
          out.mixture.ptr<double>()[static_cast<std::size_t>(r * f + t) * mixture_.size() + i] = mixture_[i];
      for (std::int64_t i = 0; i < v; ++i)
        out.categorical.ptr<double>()[r * v + i] = log_p_[static_cast<std::size_t>(i)];
      out.context.ptr<double>()[2 * r] = 3;  // never changes
      out.context.ptr<double>()[2 * r + 1] = rows.x.ptr<double>()[r * rows.x.row_stride()];
    }
  }
  void sequential(Context& ctx, const FeatureRows& rows, ConstTensorView mask, ConstTensorView,
                  Conditionals& out) const override {
    conditionals(ctx, rows, mask, out);
  }
  void draw(Context&, const FeatureRows&, ConstTensorView, std::int64_t, ConstTensorView, DrawMode, Draws&,
            ConstTensorView, std::span<const std::int64_t>) const override {}

 private:
  FeatureLayout layout_;
  std::vector<double> mixture_, log_p_;
};

inline double normal_density(double z) {
  return std::exp(-.5 * z * z) / std::sqrt(2 * M_PI);
}
inline double normal_cdf(double z) {
  return .5 * std::erfc(-z / std::sqrt(2.));
}
/// CRPS of N(mean, sd^2) for the outcome x: Gneiting et al. 2005.
inline double normal_crps(double mean, double sd, double x) {
  const double w = (x - mean) / sd;
  return sd * (w * (2 * normal_cdf(w) - 1) + 2 * normal_density(w) - 1 / std::sqrt(M_PI));
}

}  // namespace emshap::test
