#pragma once
// Explains many rows, block by block, into a log that survives an interruption, and writes the files of
// results.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/core/progress.h"
#include "emshap/core/tensor_view.h"
#include "emshap/explain/attribution_log.h"
#include "emshap/explain/explainer.h"
#include "emshap/explain/typicality.h"

namespace emshap {

/// What is explained: raw (n, D) f32, missing values NaN.
struct RowsToExplain {
  ConstTensorView raw;
  std::span<const std::int64_t> numbers;  ///< (n): row numbers in their data; empty: 0..n-1
  std::span<const float> actual;          ///< (n) or empty: the target, NaN where it is missing
};

/// Text that names a set of coalitions so that it can be made again, and the way back.
EMSHAP_API std::string describe(const Coalitions& coalitions);
/// Throws IoError for a text that is not such a description or whose set is another one today.
EMSHAP_API Coalitions coalitions_from(const std::string& description);

/// The explanation of many rows: the log's rows and sums over them. References must outlive it.
class EMSHAP_API AttributionRun {
 public:
  /// `typicality` may be null. Goes on from the log's sums. The explainer has its coalitions. Throws IoError
  /// for sums of another game.
  AttributionRun(const Explainer& explainer, const Typicality* typicality, AttributionLog& log);

  /// Explains rows[log.rows()...] and commits them every few seconds and at the end. When it throws, also
  /// Interrupted, what was finished before has been committed. Results do not depend on where it was
  /// interrupted.
  void run(TeamPool& pool, const RowsToExplain& rows, ProgressSink& sink = null_sink(),
           const StopToken* stop = nullptr);

  const Explainer& explainer() const { return explainer_; }
  const Typicality* typicality() const { return typicality_; }
  const AttributionLog& log() const { return log_; }
  const GlobalImportance& importance() const { return importance_; }
  std::int64_t clamped() const { return clamped_; }
  std::int64_t drawn() const { return drawn_; }
  /// (M): root mean squares over rows of both parts of the standard errors.
  std::vector<double> sampling_error() const;
  std::vector<double> noise_error() const;  ///< NaN where it is not known
  /// Number of rows with each flag.
  std::int64_t flagged(std::uint32_t flag) const;
  double effective_min() const;   ///< smallest of all rows
  double effective_mean() const;  ///< mean over rows

 private:
  void add(const Attributions& block, const RowsToExplain& rows, const Typicality::Scores* scores);
  void commit();
  std::vector<double> sums() const;
  const Explainer& explainer_;
  const Typicality* typicality_;
  AttributionLog& log_;
  GlobalImportance importance_;
  std::int64_t clamped_ = 0, drawn_ = 0;
  std::vector<double> squares_;  // (2 M): of sampling errors, of noise errors
  std::vector<double> counts_;   // (6): rows by flag, smallest and summed effective sample sizes
};

/// A further column of attributions.csv: its name, and its text for the i-th row explained.
struct ResultColumn {
  std::string name;
  std::function<std::string(std::int64_t)> text;
};

/// What the files say beside the run's numbers.
struct AttributionAbout {
  std::string method, target, unit, settings_hash;
  /// JSON objects; empty: left out.
  std::string model_json, data_json, settings_json;
  std::vector<std::string> warnings;
  std::vector<std::int64_t> outside_by_feature;  ///< see Typicality::count_outside; or empty
  std::int64_t json_rows = 10000;  ///< up to so many rows stand in attributions.json; else in the CSV only
};

/// The settings' hash of the results that write_attributions left in `folder`; empty where there are none.
EMSHAP_API std::string finished_attributions(const std::filesystem::path& folder);

/// Writes attributions.csv, attributions.json and coalitions.json into `folder`, each atomically, the rows
/// read from the log as they are written. Returns their names. Throws IoError (environment).
EMSHAP_API std::vector<std::string> write_attributions(const std::filesystem::path& folder,
                                                       const AttributionRun& run,
                                                       const AttributionAbout& about,
                                                       const std::vector<ResultColumn>& columns,
                                                       ProgressSink& sink = null_sink());

}  // namespace emshap
