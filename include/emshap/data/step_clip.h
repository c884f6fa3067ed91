#pragma once
// The step that keeps raw values within bounds.
#include <limits>

#include "emshap/data/step.h"

namespace emshap {

/// y = min(max(x, low), high), by bounds that were found elsewhere (data/cleaning.h) and fit leaves alone;
/// infinite ones leave a side open, NaN passes through. Bounds are rounded to float32, the type of tables, so
/// that rows which were clipped before stay as they are, bit for bit.
class EMSHAP_API Clip : public Step {
 public:
  /// One bound of each kind a column. Throws ConfigError for lists of two sizes, NaN, or low > high.
  Clip(std::span<const double> low, std::span<const double> high);
  const char* type() const override { return "clip"; }
  std::unique_ptr<Step> clone() const override { return std::make_unique<Clip>(*this); }
  /// Throws ConfigError for another number of columns than of bounds.
  void begin_fit(const std::vector<std::string>& names) override;
  void observe(const double*, std::int64_t) override {}
  void end_fit() override {}
  const std::vector<std::string>& input_names() const override { return names_; }
  void transform(const double* in, std::int64_t rows, double* out) const override;
  /// The identity: clipped values stay.
  void inverse(const double* in, std::int64_t rows, double* out) const override;
  void log_jacobian(const double*, std::int64_t, double*) const override {}
  GraphValue to_onnx(GraphWriter& graph, const GraphValue& input) const override;
  std::string to_json() const override;
  void hash(Hash64& hash) const override;

  const std::vector<double>& low() const { return low_; }
  const std::vector<double>& high() const { return high_; }
  double apply(std::size_t column, double x) const {
    return x < low_[column] ? low_[column] : x > high_[column] ? high_[column] : x;
  }
  /// Whether it changes nothing, whatever the values.
  bool open() const;

 private:
  std::vector<std::string> names_;
  std::vector<double> low_, high_;
};

}  // namespace emshap
