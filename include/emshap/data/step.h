#pragma once
// One fitted step of a pipeline. Values are float64, row-major (rows, columns); NaN is a missing value.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "emshap/core/export.h"

namespace emshap {

class GraphWriter;
struct GraphValue;
class Hash64;

class EMSHAP_API Step {
 public:
  virtual ~Step() = default;
  /// Name in files: "drop_constant", "mean_impute", "standard_scaler".
  virtual const char* type() const = 0;
  virtual std::unique_ptr<Step> clone() const = 0;

  /// Fitting: begin with the column names, see every training row in blocks (rows, names.size()), end.
  /// end_fit throws DataError when the rows do not determine the step.
  virtual void begin_fit(const std::vector<std::string>& names) = 0;
  virtual void observe(const double* block, std::int64_t rows) = 0;
  virtual void end_fit() = 0;

  virtual const std::vector<std::string>& input_names() const = 0;
  virtual const std::vector<std::string>& output_names() const { return input_names(); }
  std::int64_t inputs() const { return static_cast<std::int64_t>(input_names().size()); }
  std::int64_t outputs() const { return static_cast<std::int64_t>(output_names().size()); }

  /// out (rows, outputs) from in (rows, inputs); out may be in where inputs = outputs. Missing values that
  /// the step does not replace stay NaN; Pipeline refuses them at its end.
  virtual void transform(const double* in, std::int64_t rows, double* out) const = 0;
  /// out (rows, inputs) from in (rows, outputs); columns that the step removed get their training value.
  virtual void inverse(const double* in, std::int64_t rows, double* out) const = 0;
  /// out[r] += log |d transform / d in| at row r of `in` (rows, inputs), over the columns the step keeps.
  virtual void log_jacobian(const double* in, std::int64_t rows, double* out) const = 0;

  /// Adds the step to a graph, computed in float64; input and result are float64 values (rows, columns).
  virtual GraphValue to_onnx(GraphWriter& graph, const GraphValue& input) const = 0;
  /// Its fitted state as one JSON object with "type".
  virtual std::string to_json() const = 0;
  /// Names and exact numbers of the fitted state.
  virtual void hash(Hash64& hash) const = 0;
  /// What a user should know, one sentence each.
  virtual std::vector<std::string> warnings() const { return {}; }
};

/// A step from Step::to_json. Throws IoError naming what is missing or wrong.
EMSHAP_API std::unique_ptr<Step> step_from_json(const std::string& text);

}  // namespace emshap
