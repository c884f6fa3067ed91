#pragma once
// The fitted steps of this version.
#include "emshap/data/step.h"

namespace emshap {

/// Removes columns without variation among the training rows: all present values equal, or none present.
class EMSHAP_API DropConstant : public Step {
 public:
  const char* type() const override { return "drop_constant"; }
  std::unique_ptr<Step> clone() const override { return std::make_unique<DropConstant>(*this); }
  void begin_fit(const std::vector<std::string>& names) override;
  void observe(const double* block, std::int64_t rows) override;
  /// Throws DataError when no column varies.
  void end_fit() override;
  const std::vector<std::string>& input_names() const override { return names_; }
  const std::vector<std::string>& output_names() const override { return kept_names_; }
  void transform(const double* in, std::int64_t rows, double* out) const override;
  void inverse(const double* in, std::int64_t rows, double* out) const override;
  void log_jacobian(const double*, std::int64_t, double*) const override {}
  GraphValue to_onnx(GraphWriter& graph, const GraphValue& input) const override;
  std::string to_json() const override;
  void hash(Hash64& hash) const override;
  std::vector<std::string> warnings() const override;

  /// Numbers of the columns kept, and what was dropped: names and their training values (NaN: none present).
  const std::vector<std::int64_t>& kept() const { return kept_; }
  const std::vector<std::string>& dropped_names() const { return dropped_names_; }
  const std::vector<double>& dropped_values() const { return dropped_values_; }
  static std::unique_ptr<Step> from_state(std::vector<std::string> names,
                                          std::vector<std::string> dropped_names,
                                          std::vector<double> dropped_values);

 private:
  void derive();
  std::vector<std::string> names_, kept_names_, dropped_names_;
  std::vector<double> dropped_values_;
  std::vector<std::int64_t> kept_;
  std::vector<double> low_, high_;  // while fitting
};

/// Replaces missing values by the mean of the present training values, in columns where some training row
/// lacks one or that were named beforehand; elsewhere a missing value stays, for Pipeline to refuse.
class EMSHAP_API MeanImpute : public Step {
 public:
  /// `may_be_missing`: further columns to fill. Names of other columns are ignored.
  explicit MeanImpute(std::vector<std::string> may_be_missing = {})
      : may_be_missing_(std::move(may_be_missing)) {}
  const char* type() const override { return "mean_impute"; }
  std::unique_ptr<Step> clone() const override { return std::make_unique<MeanImpute>(*this); }
  void begin_fit(const std::vector<std::string>& names) override;
  void observe(const double* block, std::int64_t rows) override;
  void end_fit() override;
  const std::vector<std::string>& input_names() const override { return names_; }
  void transform(const double* in, std::int64_t rows, double* out) const override;
  /// The identity: imputed values stay.
  void inverse(const double* in, std::int64_t rows, double* out) const override;
  void log_jacobian(const double*, std::int64_t, double*) const override {}
  GraphValue to_onnx(GraphWriter& graph, const GraphValue& input) const override;
  std::string to_json() const override;
  void hash(Hash64& hash) const override;
  std::vector<std::string> warnings() const override;

  const std::vector<double>& means() const { return means_; }
  /// Missing training cells of each column.
  const std::vector<std::int64_t>& missing() const { return missing_; }
  /// Whether missing values of column c are replaced.
  bool fills(std::size_t c) const { return fills_[c] != 0; }
  static std::unique_ptr<Step> from_state(std::vector<std::string> names, std::vector<double> means,
                                          std::vector<std::int64_t> missing, std::vector<std::int64_t> fills);

 private:
  std::vector<std::string> may_be_missing_, names_;
  std::vector<double> means_;
  std::vector<std::int64_t> missing_, present_, fills_;
};

/// y = (x - mean) / scale, scale = standard deviation over the training rows (divided by n). Mean and sum of
/// squared deviations are formed in two passes per block and merged by Chan, Golub & LeVeque 1979, in
/// float64. NaN passes through.
class EMSHAP_API StandardScaler : public Step {
 public:
  /// `skip_missing`: the statistics are those of the present values; otherwise a missing one is an error.
  explicit StandardScaler(bool skip_missing = false) : skip_missing_(skip_missing) {}
  const char* type() const override { return "standard_scaler"; }
  std::unique_ptr<Step> clone() const override { return std::make_unique<StandardScaler>(*this); }
  void begin_fit(const std::vector<std::string>& names) override;
  void observe(const double* block, std::int64_t rows) override;
  /// Throws DataError for a column without variation or without rows.
  void end_fit() override;
  const std::vector<std::string>& input_names() const override { return names_; }
  void transform(const double* in, std::int64_t rows, double* out) const override;
  void inverse(const double* in, std::int64_t rows, double* out) const override;
  void log_jacobian(const double* in, std::int64_t rows, double* out) const override;
  GraphValue to_onnx(GraphWriter& graph, const GraphValue& input) const override;
  std::string to_json() const override;
  void hash(Hash64& hash) const override;
  /// Columns with |mean| / scale above 1e4: float32 inputs then keep few digits of the variation.
  std::vector<std::string> warnings() const override;

  const std::vector<double>& means() const { return means_; }
  const std::vector<double>& scales() const { return scales_; }
  /// Training rows.
  std::int64_t count() const { return count_; }
  static std::unique_ptr<Step> from_state(std::vector<std::string> names, std::vector<double> means,
                                          std::vector<double> scales, std::int64_t count);

 private:
  bool skip_missing_;
  std::vector<std::string> names_;
  std::vector<double> means_, scales_, m2_;
  std::vector<std::int64_t> present_;  // while fitting
  std::int64_t count_ = 0;
};

/// Adds to each column its piecewise-linear encoding (Gorishniy, Rubachev & Babenko 2022, "On embeddings for
/// numerical features in tabular deep learning"), which lets a network bend sharply where the data are dense:
/// with edges e_0 < ... < e_T at quantiles of the training rows, bin t of x is
///   clamp((x - e_t) / (e_{t+1} - e_t), 0, 1).
/// Outputs: "name" itself, then "name[1]" ... "name[T]"; equal quantiles share a bin, and a column with fewer
/// than two bins is passed on alone.
class EMSHAP_API PiecewiseLinear : public Step {
 public:
  static constexpr std::size_t most_values =
      65536;  ///< of a column that quantiles are taken from, evenly spaced rows
  /// `bins` >= 2 per column, at most.
  explicit PiecewiseLinear(std::int64_t bins = 16) : bins_(bins) {}
  const char* type() const override { return "piecewise_linear"; }
  std::unique_ptr<Step> clone() const override { return std::make_unique<PiecewiseLinear>(*this); }
  void begin_fit(const std::vector<std::string>& names) override;
  void observe(const double* block, std::int64_t rows) override;
  /// Throws ConfigError for fewer than two bins, DataError for a missing value or without rows.
  void end_fit() override;
  const std::vector<std::string>& input_names() const override { return names_; }
  const std::vector<std::string>& output_names() const override { return output_names_; }
  void transform(const double* in, std::int64_t rows, double* out) const override;
  void inverse(const double* in, std::int64_t rows, double* out) const override;
  void log_jacobian(const double*, std::int64_t, double*) const override {}
  GraphValue to_onnx(GraphWriter& graph, const GraphValue& input) const override;
  std::string to_json() const override;
  void hash(Hash64& hash) const override;

  /// Edges of column c: of all bins, ascending; empty where the column is passed on alone.
  std::vector<double> edges(std::size_t c) const;
  /// `counts`: edges of each column; `edges`: all of them, column after column.
  static std::unique_ptr<Step> from_state(std::vector<std::string> names, std::vector<std::int64_t> counts,
                                          std::vector<double> edges);

 private:
  void derive();
  std::int64_t bins_;
  std::vector<std::string> names_, output_names_;
  std::vector<std::int64_t> counts_;
  std::vector<double> edges_;
  // Output o is clamp((in[source] - shift) * slope, low, high).
  struct Output {
    std::int64_t source;
    double shift, slope, low, high;
  };
  std::vector<Output> outputs_;
  // While fitting: every stride-th row, column after column, and the number of rows seen.
  std::vector<std::vector<double>> sample_;
  std::int64_t stride_ = 1, seen_ = 0;
};

}  // namespace emshap
