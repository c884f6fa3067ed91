#pragma once
// From raw units to model units and back: an ordered list of named fitted steps. Arithmetic is float64
// throughout; the design matrix is rounded to float32 once, at the end.
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/core/tensor.h"
#include "emshap/data/step.h"
#include "emshap/data/table.h"

namespace emshap {

/// Calls its argument with consecutive blocks (rows, columns), the same ones each time it is called.
using BlockScan = std::function<void(const std::function<void(const double* block, std::int64_t rows)>&)>;

class EMSHAP_API Pipeline {
 public:
  Pipeline() = default;
  Pipeline(const Pipeline& other);
  Pipeline(Pipeline&&) noexcept = default;
  Pipeline& operator=(Pipeline other) noexcept;

  /// Throws ConfigError for a name used twice.
  void add(std::string name, std::unique_ptr<Step> step);
  /// Puts a step "clip" (step_clip.h) in front of a fitted pipeline, with these bounds of its inputs; nothing
  /// where all are infinite. On rows within the bounds it was fitted right. Throws ConfigError.
  void clip_inputs(std::span<const double> low, std::span<const double> high);
  std::size_t size() const { return steps_.size(); }
  /// The pipeline of the first `count` steps.
  Pipeline first(std::size_t count) const;
  const std::string& name(std::size_t i) const { return steps_[i].first; }
  const Step& step(std::size_t i) const { return *steps_[i].second; }
  /// The first step of this C++ type, or null.
  template <class T>
  const T* find() const {
    for (const auto& entry : steps_)
      if (const T* found = dynamic_cast<const T*>(entry.second.get())) return found;
    return nullptr;
  }

  /// Fits each step on what the steps before it make of the rows; one scan a step.
  void fit(const std::vector<std::string>& names, const BlockScan& scan);
  /// On the columns of a role, by default the features, of these (training) rows. Throws DataError, e.g. when
  /// none varies.
  void fit(const Table& table, std::span<const std::int64_t> rows, ColumnRole role = ColumnRole::feature);

  const std::vector<std::string>& input_names() const { return input_names_; }
  const std::vector<std::string>& output_names() const;
  std::int64_t inputs() const { return static_cast<std::int64_t>(input_names_.size()); }
  std::int64_t outputs() const { return static_cast<std::int64_t>(output_names().size()); }
  /// Throws DataError unless `names` are the input names: first difference and both sizes; `source` is for
  /// the message.
  void check_names(const std::vector<std::string>& names, const std::string& source) const;

  /// out (rows, outputs) from in (rows, inputs). Throws DataError for a value that is missing or not finite
  /// at the end.
  void transform(const double* in, std::int64_t rows, double* out) const;
  /// out (rows, inputs) from in (rows, outputs).
  void inverse(const double* in, std::int64_t rows, double* out) const;
  /// out[r] = log |d transform / d in| at row r.
  void log_jacobian(const double* in, std::int64_t rows, double* out) const;
  /// The same on tensors of float32 or float64, in and out of any of the two. Throws ShapeError.
  void transform(ConstTensorView in, TensorView out) const;
  void inverse(ConstTensorView in, TensorView out) const;
  /// Design matrix (rows.size(), outputs) float32 of the columns of a role. Checks the names. Throws
  /// DataError.
  Tensor transform(const Table& table, std::span<const std::int64_t> rows,
                   ColumnRole role = ColumnRole::feature) const;

  /// Adds all steps; see Step::to_onnx.
  GraphValue to_onnx(GraphWriter& graph, const GraphValue& input) const;
  /// {"features": [...], "steps": [{"name":..., "step": {...}}], "hash": "..."}; numbers read back exactly.
  std::string to_json() const;
  /// Throws IoError naming what is missing or wrong, also for a hash that does not fit.
  static Pipeline from_json(const std::string& text);
  std::string hash() const;
  std::vector<std::string> warnings() const;

 private:
  void run(const double* in, std::int64_t rows, double* out, std::size_t steps) const;  // the first `steps`
  std::vector<std::string> input_names_;
  std::vector<std::pair<std::string, std::unique_ptr<Step>>> steps_;
};

/// Both sides of a predictor: features, and the target with its inverse. Saved as scaler.json.
struct EMSHAP_API Preprocessor {
  Pipeline features;
  Pipeline target;  ///< one column

  /// DropConstant, MeanImpute (unless `impute` is false; it fills the columns in which any row of the table
  /// lacks a value) and StandardScaler on the features; StandardScaler
  /// on the target (none with scale_target = false). With `bins` > 0 a PiecewiseLinear encoding follows on
  /// the features. Throws DataError, e.g. for an all-constant feature set or target.
  static Preprocessor fit(const Table& table, std::span<const std::int64_t> train, bool impute = true,
                          bool scale_target = true, std::int64_t bins = 0);
  /// (rows.size(), 1) float32 in model units.
  Tensor transform_target(const Table& table, std::span<const std::int64_t> rows) const;
  std::string to_json() const;
  static Preprocessor from_json(const std::string& text);
  void save(const std::filesystem::path& path) const;
  static Preprocessor load(const std::filesystem::path& path);
  std::string hash() const;
  std::vector<std::string> warnings() const;
};

}  // namespace emshap
