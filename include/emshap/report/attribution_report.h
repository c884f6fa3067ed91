#pragma once
// Attributions for people: the pictures they know (bars, waterfall, beeswarm, dependence, heat map over time)
// and one HTML file that holds them with the numbers, their quality and where they come from.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/core/progress.h"
#include "emshap/report/masked_rows.h"
#include "emshap/report/plot.h"

namespace emshap::report {

/// One value function of a comparison on the same rows and coalitions.
struct ComparedMethod {
  std::string name;
  Estimate msev;        ///< in the target's unit squared; NaN standard error: not known
  Estimate difference;  ///< MSEv minus that of the report's own method, paired; {0, NaN} for that method
  std::string note;     ///< e.g. "recommended"; may be empty
};

/// Share of the values inside a central interval: `expected` of a calibrated density.
struct CoverageShare {
  double expected = 0, observed = 0;
};

/// Any other number on the quality page: name, value with its unit as text, and what it means.
struct QualityNumber {
  std::string name, value, meaning;
};

/// What says whether the attributions can be trusted; parts that are not known stay empty.
struct AttributionQuality {
  std::vector<ComparedMethod> comparison;  ///< the report's own method first
  std::int64_t draws = 0;               ///< K of one v(S, x): full scale of effective sample sizes; 0: none
  std::int64_t drawn = 0, clamped = 0;  ///< values drawn, and put back into the training range
  std::vector<CoverageShare> coverage;  ///< of the density model's conditional distributions
  std::optional<Estimate> energy_gain;  ///< nat per unknown feature
  double tolerance = 0;                 ///< of `converged`, as a share of max phi - min phi; 0: not used
  /// MSEv of this run, ridge, ... An entry "unusual rows", "rows with missing values", "rows converged" or
  /// "rows not converged" takes the place of what the report would count itself.
  std::vector<QualityNumber> numbers;
};

/// A name and its value, both shown as they are.
using NamedText = std::pair<std::string, std::string>;

/// Everything that is shown. n rows, M players, D raw columns; matrices are row-major. Lists marked "or
/// empty" are left out of the report when empty. phi, phi0, errors, predictions and actual values are in
/// `unit`. Numbers may be NaN or infinite: shown as such in tables, left out of pictures.
struct AttributionReport {
  std::string title;                                 ///< or empty: "Attributions of <target>"
  std::string target, unit;                          ///< "power_consumption", "W"; either may be empty
  std::string method;                                ///< "emshap", ...
  std::vector<std::string> players;                  ///< (M)
  std::vector<std::string> columns;                  ///< (D) or empty with `values`
  std::vector<std::vector<std::int64_t>> grouping;   ///< (M): columns of each player; or empty: player j is
                                                     ///< the column of the same name
  std::vector<std::vector<std::string>> categories;  ///< (D): texts of the codes 0, 1, ... of a categorical
                                                     ///< column, empty for numeric ones; or empty

  double phi0 = 0;
  std::vector<double> values;          ///< (n, D) raw values, NaN where missing; or empty
  std::vector<double> phi;             ///< (n, M); phi0 + sum_j phi_j = prediction
  std::vector<double> standard_error;  ///< (n, M), NaN where not known; or empty
  std::vector<double> prediction;      ///< (n)
  std::vector<double> actual;          ///< (n), NaN where not known; or empty
  std::vector<std::string> labels;     ///< (n) or empty: "row 0", ...
  std::vector<double> time;            ///< (n): orders the rows of a node; or empty
  /// (n), or empty: the numbers of `time`, as UTC dates where all of them are seconds, milli-, micro- or
  /// nanoseconds since 1970 of the years 2000 to 2099.
  std::vector<std::string> time_labels;
  std::vector<std::string> node;  ///< (n) or empty: all rows are one node's

  // Flags (n): 1 where true; or empty.
  std::vector<std::uint8_t> missing;    ///< values are missing
  std::vector<std::uint8_t> unusual;    ///< far outside the training data (its density is low)
  std::vector<std::uint8_t> converged;  ///< errors are below the tolerance
  std::vector<double> effective_min;    ///< (n) or empty: smallest effective sample size over coalitions
  std::vector<double> effective_mean;   ///< (n) or empty

  std::vector<double> mean_absolute;  ///< (M), or empty: computed from phi
  std::vector<double> sage;           ///< (M) or empty
  std::string sage_unit;              ///< "W²", ...; may be empty
  std::int64_t explained = 0;  ///< rows behind mean_absolute and sage, of which the report shows n; 0: n
  AttributionQuality quality;
  std::vector<NamedText> settings;    ///< method, budget, draws, seed, ...
  std::vector<NamedText> provenance;  ///< data file and hash, model, versions, time of the run, ...
  std::vector<std::string> warnings;  ///< shown at the top

  std::int64_t rows() const { return static_cast<std::int64_t>(prediction.size()); }
};

struct AttributionReportOptions {
  std::int64_t most_players = 20;        ///< in pictures and the table of rows; the rest is summed up
  std::int64_t table_rows = 1000;        ///< of the HTML's table; the rest is in the files of results only
  std::int64_t dependence_plots = 4;     ///< for the most important players that are one column each
  std::vector<std::int64_t> waterfalls;  ///< rows; empty: those of highest, median and lowest prediction
  std::string node;                      ///< of the heat map; empty: the node with most rows
  bool png = false;                      ///< each picture as a PNG file too
  /// Names of the files with all numbers, relative to the folder, named and linked in the report.
  std::vector<std::string> result_files;
};

struct AttributionReportFiles {
  std::filesystem::path html;                   ///< folder / "report.html"
  std::vector<std::filesystem::path> pictures;  ///< folder / "plots" / "*.svg" (and .png)
};

/// Writes the pictures and `report.html` into `folder`, which is created. The HTML is well-formed XML, needs
/// no network, and works without scripts (with them its table sorts and a click on a row draws its bars).
/// `plotter` null or without gnuplot: no pictures, and the HTML says so. Throws ShapeError for lists that do
/// not fit together, IoError when a file cannot be written.
EMSHAP_API AttributionReportFiles write_attribution_report(const AttributionReport& report,
                                                           const std::filesystem::path& folder,
                                                           Plotter* plotter,
                                                           const AttributionReportOptions& options = {},
                                                           ProgressSink& sink = null_sink());

}  // namespace emshap::report
