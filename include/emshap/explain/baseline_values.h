#pragma once
// The conditionals that a learned density is compared with, as value functions: what other explainers use
// (Aas, Jullum & Loland 2021). All are fitted on training rows.
//   independence  x_U taken jointly from training rows, whatever x_S is
//   empirical     from training rows weighted by their nearness to x_S
//   gaussian      drawn from a Gaussian given x_S
//   copula        drawn from a Gaussian copula given x_S
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "emshap/data/feature_space.h"
#include "emshap/explain/drawn_values.h"
#include "emshap/explain/gaussian_density.h"
#include "emshap/explain/value_function.h"

namespace emshap {

struct BaselineOptions {
  /// gaussian and copula. independence: `draws` training rows, without replacement, split into `replicates`,
  /// by `seed`; the same for all coalitions and explicands.
  DrawnValueOptions drawn;
  FeatureSpaceOptions space;  ///< gaussian and copula: range_margin, ties. The method decides the transform,
                              ///< and columns have no categories
  double bandwidth = .1;      ///< empirical: sigma of exp(-D^2 / (2 sigma^2))
  double mass = .95;          ///< empirical: the nearest rows are kept up to this share of the weights
  std::int64_t most_rows = 10000;  ///< empirical: at most so many training rows, a seeded choice; 0: all
};

/// "independence", "empirical", "gaussian", "copula".
EMSHAP_API const std::vector<std::string>& baseline_names();

/// x_U from K = options.drawn.draws training rows; from all rows when there are no more, and then v is exact
/// for their empirical law: no error, infinite effective sample size. Otherwise errors are those of drawing
/// without replacement from the training rows.
/// Training rows `train` (N, D) f32, of which the complete ones are used; they are copied. Columns that are
/// constant in them are no players. `f` must outlive the value function. Throws ConfigError, DataError (no
/// complete row, infinite value).
EMSHAP_API std::unique_ptr<ValueFunction> independence_values(std::vector<std::string> columns,
                                                              ConstTensorView train, const Predictor& f,
                                                              const BaselineOptions& options);

/// Row i counts w_i = exp(-D^2 / (2 bandwidth^2)), D^2 = (x_S - x_iS)' Sigma_SS^-1 (x_S - x_iS) / |S|, Sigma
/// being the covariance of the training rows with 1e-6 of its diagonal added (twin columns); only the
/// largest weights up to `mass` of their sum are kept (at least one row; ties in row order). With nothing
/// known all rows count alike. No Monte Carlo error; the effective sample size is that of the weights. Else
/// as independence_values.
EMSHAP_API std::unique_ptr<ValueFunction> empirical_values(std::vector<std::string> columns,
                                                           ConstTensorView train, const Predictor& f,
                                                           const BaselineOptions& options);

/// A value function with all that it refers to but the predictor.
struct EMSHAP_API FittedBaseline {
  std::unique_ptr<GaussianDensity> density;  ///< gaussian, copula; null otherwise
  std::unique_ptr<ValueFunction> values;
  std::vector<std::string> notes;  ///< rows left out and the like: what the user should know

  FittedBaseline();
  ~FittedBaseline();
  FittedBaseline(FittedBaseline&&) noexcept;
  FittedBaseline& operator=(FittedBaseline&&) noexcept;
};

/// The baseline of this name. `train` (N, columns.size()) f32, raw, missing values NaN; only read here.
/// Throws ConfigError for an unknown name and, naming the option --background, where there are no training
/// rows; else as the functions above.
EMSHAP_API FittedBaseline make_baseline(const std::string& method, const std::vector<std::string>& columns,
                                        ConstTensorView train, const Predictor& f,
                                        const BaselineOptions& options);

}  // namespace emshap
