#pragma once
// Columns to normal scores.
#include "emshap/data/step.h"

namespace emshap {

/// y = Phi^-1(F(x)) at knots, linear between and outside, increasing: F is the dequantised distribution
/// function of the present training values. In a tied column (more than 5 % of the rows share their value
/// with another) the mass of each value is spread evenly over its tile, see FeatureColumn; other columns
/// have the plotting positions (rank - 1/2) / n. Knots: up to 240 at even steps of F, each of 20 rows or
/// more, some more in the tails, and the edges of tiles with much mass, so that no line runs from inside a
/// spike to far beside it. Outside, the slope is that over the last few knots, kept between 1 and 100 over
/// the range. Missing values pass through and do not count.
class EMSHAP_API QuantileNormal : public Step {
 public:
  static constexpr std::int64_t most_knots = 240;    ///< at even steps of F
  static constexpr std::int64_t rows_per_knot = 20;  ///< at least, but 8 knots in any case
  /// `ties` false: no column counts as tied.
  explicit QuantileNormal(bool ties = true) : ties_(ties) {}
  const char* type() const override { return "quantile_normal"; }
  std::unique_ptr<Step> clone() const override { return std::make_unique<QuantileNormal>(*this); }
  void begin_fit(const std::vector<std::string>& names) override;
  void observe(const double* block, std::int64_t rows) override;
  /// Throws DataError for a column without two different values.
  void end_fit() override;
  const std::vector<std::string>& input_names() const override { return names_; }
  void transform(const double* in, std::int64_t rows, double* out) const override;
  void inverse(const double* in, std::int64_t rows, double* out) const override;
  /// Missing values add nothing; a knot belongs to the segment on its right.
  void log_jacobian(const double* in, std::int64_t rows, double* out) const override;
  GraphValue to_onnx(GraphWriter& graph, const GraphValue& input) const override;
  std::string to_json() const override;
  void hash(Hash64& hash) const override;

  /// One value of column c.
  double transform(std::size_t c, double x) const;
  double inverse(std::size_t c, double z) const;
  /// d transform / d x.
  double slope(std::size_t c, double x) const;
  /// The knots of column c, ascending: raw units and scores.
  std::vector<double> knots(std::size_t c) const;
  std::vector<double> scores(std::size_t c) const;

  /// `counts`: knots of each column, 2 or more; `x`, `z`: all of them, column after column; `low`, `high`:
  /// slopes below the first and above the last knot of each column. Throws IoError.
  static std::unique_ptr<Step> from_state(std::vector<std::string> names, std::vector<std::int64_t> counts,
                                          std::vector<double> x, std::vector<double> z,
                                          std::vector<double> low, std::vector<double> high);

 private:
  void derive();
  // Number of the line at x (or at z): 0 below the first knot, i from knot i - 1 on.
  std::size_t line_at(const std::vector<double>& knots, std::size_t c, double at) const;
  bool ties_;
  std::vector<std::string> names_;
  std::vector<std::int64_t> counts_;
  std::vector<double> x_, z_, low_, high_;
  // Derived: where the knots and the lines (one more) of each column begin; slopes of the lines.
  std::vector<std::size_t> first_knot_;
  std::vector<double> slopes_;
  std::vector<std::vector<double>> sample_;  // while fitting: the present values
};

}  // namespace emshap
