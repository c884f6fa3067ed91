#pragma once
// What each (pair, feature) scored, before it is summed up. Private to the scores.
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/for_blocks.h"
#include "data/raw_rows.h"
#include "emshap/report/density_scores.h"

namespace emshap::report {

/// Rows of a data set in model space, the mask and targets of each pair.
struct ModelPairs {
  Tensor x, code;                           ///< (P, F) of the model's type, i32
  Tensor mask;                              ///< (P, F): known and present
  Tensor target;                            ///< (P, F): not known and present
  std::vector<std::int64_t> targets, size;  ///< (P): number of targets, |S|

  std::int64_t pairs() const { return x.rows(); }
  FeatureRows rows(std::int64_t begin, std::int64_t count) const {
    return {x.view().rows(begin, count), code.view().rows(begin, count)};
  }
  bool is_target(std::int64_t p, std::int64_t t) const;
};
ModelPairs model_pairs(const FeatureSpace& space, ConstTensorView raw, const MaskedRows& pairs, DType dtype);

/// Element i of a tensor of either type.
inline double element(const Tensor& x, std::int64_t i) {
  return x.dtype() == DType::f64 ? x.ptr<double>()[i] : static_cast<double>(x.ptr<float>()[i]);
}

/// Throws ShapeError for different numbers of features.
void check_fit(const FeatureSpace& space, const Proposal& proposal);

/// Column of the raw rows that feature t of the space comes from.
std::vector<std::int64_t> input_of_feature(const FeatureSpace& space);

struct PairTable {
  PairTable(std::int64_t pairs, std::int64_t features, std::int64_t context_width);
  std::size_t at(std::int64_t p, std::int64_t t) const { return static_cast<std::size_t>(p * features + t); }
  std::int64_t features;
  std::vector<double> log_likelihood, crps, error, pit, mean, variance;  ///< (P, F), NaN where not a target
  std::vector<double> context;                                           ///< (P, H)

  ConditionalScores summarise(const FeatureSpace& space, const MaskedRows& pairs, const ModelPairs& model,
                              const ScoringOptions& options) const;
};

/// The cluster of each pair, by its row.
std::vector<std::int64_t> pair_clusters(const MaskedRows& pairs, const ScoringOptions& options);
/// Estimates for each |S| that occurs; CRPS 0 where `crps` is empty.
std::vector<SizeScore> scores_by_size(const std::vector<double>& log_likelihood,
                                      const std::vector<double>& crps, const std::vector<double>& targets,
                                      const std::vector<std::int64_t>& size,
                                      const std::vector<std::int64_t>& cluster);

}  // namespace emshap::report
