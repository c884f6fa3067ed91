#pragma once
// The space in which densities are modelled: how raw columns become standardised or normal-scored ones, which
// columns have ties or categories, which may be missing, and the way back.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "emshap/core/random.h"
#include "emshap/data/pipeline.h"
#include "emshap/data/table.h"

namespace emshap {

enum class FeatureTransform : std::uint8_t {
  standardise,  ///< (x - mean) / sd
  quantile,   ///< the dequantised empirical distribution function at about 240 knots to normal scores, linear
              ///< between and outside
  automatic,  ///< quantile where a Gaussian gains more than 0.5 nat per feature on the validation rows
};
EMSHAP_API FeatureTransform parse_feature_transform(const std::string& name);
EMSHAP_API const char* to_string(FeatureTransform transform);

enum class FeatureKind : std::uint8_t {
  continuous,
  tied,         ///< more than 5 % of the rows share their value with another: each stands for a tile. Not so
                ///< where more than 8192 values have less than 1 % of the rows each: that is a fine grid
  categorical,  ///< tied, few values, each often: modelled by probabilities
};
EMSHAP_API const char* to_string(FeatureKind kind);

struct FeatureSpaceOptions {
  FeatureTransform transform = FeatureTransform::automatic;
  bool ties = true;                     ///< false: all columns count as continuous
  std::int64_t max_categories = 64;     ///< a column with at most this many values ...
  std::int64_t rows_per_category = 20;  ///< ... and at least this many rows per value, on average, is
                                        ///< categorical; 0 categories switches it off
  double range_margin = .1;             ///< draws are kept within the training range widened by this share
};

/// One feature of the model, in raw units unless said. Value v of a tied or categorical column stands for the
/// tile [v - min(gap below, delta) / 2, v + min(gap above, delta) / 2], its gaps being the distances to the
/// nearest training values below and above (none: delta).
struct FeatureColumn {
  std::string name;
  FeatureKind kind = FeatureKind::continuous;
  bool may_be_missing = false;  ///< some row of the table lacks it; elsewhere NaN is an error
  double low = 0, high = 0;     ///< range of the training values
  double sd = 1;                ///< standard deviation of the training values: the unit of log-likelihoods
  double delta = 0;            ///< widest tile: the median over `values` of the distance to the nearest other
  std::vector<double> values;  ///< distinct training values, ascending; empty for continuous
  std::vector<double> left, right;   ///< edges of their tiles
  std::vector<std::int64_t> counts;  ///< training rows of each value
  std::vector<double> frequencies;   ///< their shares of the present training rows
};

/// The tile that a raw value stands for, in model space. A continuous value has left = right = its image.
struct Tile {
  double left = 0, right = 0;
  double log_width =
      0;  ///< log of the tile's width in training sd; for a continuous value: -log |d model / d
          ///< (raw / sd)|, so that log density per sd = log q(model) - log_width in both cases
};

class EMSHAP_API FeatureSpace {
 public:
  /// Fits on the training rows of the table's features; the validation rows decide `automatic`. Constant
  /// columns are dropped. Throws DataError, e.g. for a feature without a value in the training rows.
  static FeatureSpace fit(const Table& table, std::span<const std::int64_t> train,
                          std::span<const std::int64_t> validation, const FeatureSpaceOptions& options);

  /// Raw values are clipped from here on, wherever they come in; bounds of the inputs, see
  /// Pipeline::clip_inputs. Throws ConfigError.
  void clip_inputs(std::span<const double> low, std::span<const double> high);
  /// raw (n, inputs) f32 within the bounds, if there are any.
  Tensor clipped(ConstTensorView raw) const;
  float clipped(std::int64_t input, float raw) const;

  const FeatureSpaceOptions& options() const { return options_; }
  FeatureTransform transform() const { return chosen_; }  ///< standardise or quantile
  /// Raw columns in and model features out (constant columns are left out).
  const std::vector<std::string>& input_names() const { return pipeline_.input_names(); }
  const std::vector<std::string>& feature_names() const { return pipeline_.output_names(); }
  std::int64_t inputs() const { return pipeline_.inputs(); }
  std::int64_t features() const { return static_cast<std::int64_t>(columns_.size()); }
  const std::vector<FeatureColumn>& columns() const { return columns_; }
  const Pipeline& pipeline() const { return pipeline_; }

  /// x (n, F) from raw (n, inputs) of float32 or float64: exact values; missing (NaN) entries become 0 in x
  /// and 0 in `observed` (n, F, may be empty); `code` (n, F) i32 or empty: category, or the nearest one for a
  /// value not seen in training. Throws DataError naming row and column for NaN where the table had none, and
  /// for infinity.
  void to_model(ConstTensorView raw, TensorView x, TensorView observed, TensorView code) const;
  /// The same for training: each value of a tied column is replaced by one drawn uniformly from its tile, by
  /// `key` and the row numbers; categorical values stay as they are.
  void to_model_dequantised(ConstTensorView raw, const RandomKey& key,
                            std::span<const std::int64_t> row_numbers, TensorView x, TensorView observed,
                            TensorView code) const;
  /// The image of a raw value of feature t.
  double to_model(std::int64_t t, double raw) const;
  /// The tile of a raw value of feature t (not missing).
  Tile tile(std::int64_t t, double raw) const;
  /// The raw value of feature t at a point of model space: inverse transform.
  double to_raw(std::int64_t t, double model) const;
  /// raw (n, inputs) from draws x (n, F): inverse transform, tied columns put back on their grid, categorical
  /// ones on their values, everything within the training range widened by range_margin; dropped columns get
  /// their training value. Returns how many entries lay outside the widened range. Known features are better
  /// copied from their raw values: a tied one not seen in training moves to the grid here. Throws
  /// NumericalError for NaN.
  std::int64_t to_raw(ConstTensorView x, TensorView raw) const;

  /// Exact values from raw ones (n, inputs) f32, clipped or not; NaN kept.
  GraphValue to_onnx(GraphWriter& graph, const GraphValue& raw) const;
  /// The raw values (n, inputs) f32 within the bounds, if there are any.
  GraphValue clip_onnx(GraphWriter& graph, const GraphValue& raw) const;
  std::string to_json() const;
  static FeatureSpace from_json(const std::string& text);  ///< throws IoError
  std::string hash() const;
  /// What the user should know: transform chosen and why, columns with ties, categories, missing values,
  /// dropped.
  std::vector<std::string> notes() const;

 private:
  FeatureSpaceOptions options_;
  FeatureTransform chosen_ = FeatureTransform::standardise;
  Pipeline pipeline_;
  std::vector<FeatureColumn> columns_;
  std::vector<std::string> notes_;
};

}  // namespace emshap
