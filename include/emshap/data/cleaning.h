#pragma once
// Cleaning and derived features of tables of hosts in time: fitted on training rows, saved in the run,
// replayed identically wherever the models see raw rows. A table comes in with raw columns and leaves with
// the models' features.
//
// Order: outliers (clip), missing values, calendar, lags, rolling statistics, products. What looks at other
// rows stays within a node and within a part of the split. The node is the column of role node_id, else of
// role group; without either all rows are one node, and a row without a node is alone. A node's rows may lie
// anywhere in the table; they are taken in order of time, equal times by source row, rows without a time
// last; without a time column the order of the table counts.
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/data/table.h"

namespace emshap {

enum class FillMissing : std::uint8_t {
  keep,     ///< cells stay missing: imputed by the power model's pipeline, marginalised by EmSHAP
  forward,  ///< last present value of the node, else its next one, else the mean of the training rows
};
enum class Outliers : std::uint8_t {
  off,
  clip,  ///< to [Q1 - k IQR, Q3 + k IQR] of the training rows
  drop,  ///< training rows with a value outside are left out; nothing else changes
};
/// Each parses its name. Throws ConfigError.
EMSHAP_API FillMissing parse_fill_missing(const std::string& text);
EMSHAP_API Outliers parse_outliers(const std::string& text);
EMSHAP_API const char* to_string(FillMissing fill);
EMSHAP_API const char* to_string(Outliers outliers);

struct CleaningOptions {
  FillMissing fill = FillMissing::keep;
  Outliers outliers = Outliers::off;
  double iqr_factor = 1.5;  ///< k
  /// hour (0..23), day_of_week (Monday 0), weekend (0, 1), UTC, from a time column: seconds since 1970, or
  /// milli-, micro- or nanoseconds where the number is too large for seconds (from 1e11, 1e14, 1e17 on).
  bool calendar = false;
  std::vector<std::int64_t> lags;  ///< rows back, e.g. {1, 2}: "cpu_util_lag1"
  /// Window in rows with the present one, 0: none: "cpu_util_mean5", "cpu_util_std5". The standard deviation
  /// divides by the window less 1; a window that lacks a value gives none (both as pandas' rolling()).
  std::int64_t rolling = 0;
  std::vector<std::string> derive_from;  ///< metrics with lags and rolling statistics; empty: all features
  std::vector<std::string> products;     ///< "cpu_util*frequency", of features and of what comes before
  /// Whether anything is done at all.
  EMSHAP_API bool any() const;
  friend bool operator==(const CleaningOptions&, const CleaningOptions&) = default;
};

/// Name of the file in a run's folder, see load_cleaning in emshap/train/run_cleaning.h.
inline constexpr const char* cleaning_file = "cleaning.json";

/// What cleaning changed, by column of the input.
struct CleaningReport {
  struct Column {
    std::string name;
    std::int64_t clipped = 0, filled = 0;
  };
  std::vector<Column> columns;
  std::int64_t dropped_rows = 0;
};

class EMSHAP_API Cleaning {
 public:
  /// Leaves tables as they are.
  Cleaning() = default;
  /// Quartiles (NumPy's linear quantiles; Hyndman and Fan 1996, definition 7) of the present values of these
  /// rows, and means of what is left of them: after clipping, or of the rows kept. Bounds are rounded to
  /// float32, so that every program clips alike. Columns whose IQR is 0 are not clipped, nor do they drop
  /// rows. Throws ConfigError for an option that the table cannot serve (unknown column, calendar without
  /// time), DataError for other faults.
  static Cleaning fit(const CleaningOptions& options, const Table& table,
                      std::span<const std::int64_t> train);

  bool empty() const;
  const CleaningOptions& options() const;
  /// Raw features that apply() expects, and features of its result; equal without derived features.
  const std::vector<std::string>& input_names() const;
  const std::vector<std::string>& output_names() const;
  /// Columns of times and of nodes that the order of rows and the calendar were taken from when this was
  /// fitted; empty where there was none or nothing looks at other rows or the time.
  const std::string& time_column() const;
  const std::string& node_column() const;
  /// For each output the metric it stands for: itself, the metric of a lag or rolling value, "time" for the
  /// calendar; a product is its own.
  const std::vector<std::string>& metric_of_output() const;
  /// Bounds of each output, infinite where nothing is clipped; derived features are not clipped again.
  const std::vector<double>& low() const;
  const std::vector<double>& high() const;
  /// One sentence for each output that a row alone does not give ("cpu_util_lag1 is cpu_util 1 sample of the
  /// node before"), and one on filled values, for files that cannot compute them.
  std::vector<std::string> descriptions() const;

  /// The same rows with the features replaced, before the other columns; those, source rows and provenance
  /// are kept. `part[r]`: part of the split of row r, empty: all rows are one part. A lag or rolling value
  /// without enough rows before is missing, a product of a missing value too. Throws DataError for features
  /// other than input_names(), a table without times or nodes where the fit had them, or a product that
  /// overflows, ShapeError for `part` of another size.
  Table apply(const Table& table, std::span<const std::int32_t> part = {},
              CleaningReport* report = nullptr) const;
  /// The rows of `rows` that Outliers::drop keeps; all of them otherwise.
  std::vector<std::int64_t> kept(const Table& table, std::span<const std::int64_t> rows) const;

  std::string to_json() const;
  /// Throws IoError naming what is missing or wrong.
  static Cleaning from_json(const std::string& text);
  std::string hash() const;

 private:
  void name_outputs(const std::string& source);  // from options and inputs, with bounds that clip nothing
  void set_output_bounds();
  void name_order(const Table& table);
  void check_order(const Table& table) const;
  CleaningOptions options_;
  std::vector<std::string> inputs_, outputs_, metrics_;
  std::string time_, node_;
  std::vector<double> low_, high_;                     // of outputs
  std::vector<double> mean_, input_low_, input_high_;  // of inputs
};

}  // namespace emshap
