#pragma once
// Charts as SVG (or PNG) files, drawn by gnuplot in a child process. A chart is a value: what is drawn is
// separate from how. Texts may hold any characters; they reach gnuplot as quoted literals only.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/core/progress.h"

namespace emshap::report {

struct GnuplotScript;

struct Axis {
  std::string label;  ///< with its unit: "power (W)"
  bool logarithmic = false;
  std::optional<double> low, high;      ///< limits; what the data need when absent
  std::vector<std::string> names = {};  ///< written at 0, 1, ... instead of numbers; empty ones are left out
};

enum class Style {
  line,     ///< connected points; a non-finite value breaks the line
  points,   ///< one mark per finite point
  density,  ///< like points, but where there are many, square cells shaded by the number of points in them
  boxes,    ///< one box per point, centred on x, from 0 to y, as wide as the spacing (histograms)
  bars,     ///< horizontal bars that end at x, one per category, the first on top
};

enum class Tone {
  automatic,  ///< a colour of its own by the number of the series
  increase,   ///< red
  decrease,   ///< blue
  neutral,    ///< grey; lines are thin and dotted
};

struct Series {
  std::string name;  ///< in the legend; empty: no entry
  Style style = Style::line;
  std::vector<double> x, y;  ///< equal lengths; `bars` leaves y empty, one x per category
  Tone tone = Tone::automatic;
  // Empty, or as long as x; where an entry is not finite there is none.
  std::vector<double> base = {};   ///< bars: where they start; empty: at 0
  std::vector<double> error = {};  ///< half length of error bars: of bars along x, of points along y
  std::vector<double> shade = {};  ///< points: on the chart's colour scale, not finite: grey; empty: no scale
  std::vector<std::string> labels = {};  ///< beside the ends of bars or right of points; bars without them
                                         ///< show x, unless they are grouped
};

/// Of points with a shade.
struct ColourScale {
  std::string label;
  std::optional<double> low, high;                        ///< what the shades need when absent
  std::vector<std::pair<double, std::string>> tics = {};  ///< instead of numbers
};

/// A vertical line across the chart with a short text, e.g. at the best epoch.
struct Mark {
  double x = 0;
  std::string text;
};

struct Chart {
  std::string title;
  Axis x, y;
  std::vector<Series> series;
  std::vector<Mark> marks;
  std::vector<std::string> categories;  ///< names of the bars; points and lines then have y = 0 at the first
  int category_height = 24;             ///< pixels
  bool overlaid = false;                ///< series of bars share each category's line, else side by side
  ColourScale colours = {};
  std::string note;        ///< small line under the title, e.g. "R2 0.984, 1,639 rows"
  bool diagonal = false;   ///< draws y = x and gives both axes the same range
  bool zero_line = false;  ///< draws y = 0
};

/// values (rows, columns), row-major, drawn as shaded cells with a colour scale.
struct HeatMap {
  std::string title, note, value_label;
  std::vector<std::string> row_names, column_names;  ///< empty ones are left out
  std::vector<double> values;
  bool diverging = false;            ///< colours symmetric around 0
  std::optional<double> limit = {};  ///< values of larger size get the last colour
};

/// Counts of equal bins over the finite values' range, as a `boxes` series. `bins` 0: by the rule of Freedman
/// and Diaconis (1981), between 10 and 80.
EMSHAP_API Series histogram(std::string name, const std::vector<double>& values, int bins = 0);

struct PlotterOptions {
  /// Program to run. Empty: the environment variable EMSHAP_GNUPLOT, else `gnuplot` on PATH.
  std::filesystem::path gnuplot;
  double time_limit = 60;         ///< seconds per chart, then the child is killed
  int width = 820, height = 560;  ///< pixels
};

/// Draws charts. Where gnuplot is missing, says so once through the sink and skips every chart: a run never
/// fails for want of a picture. Not for use by several threads at once.
class EMSHAP_API Plotter {
 public:
  explicit Plotter(PlotterOptions options = {}, ProgressSink& sink = null_sink());
  /// The program that will be run; empty when none was found.
  const std::filesystem::path& program() const { return program_; }
  /// Writes `file` by an atomic rename; its extension .svg or .png says the format. Returns false when the
  /// chart was skipped (no gnuplot, or gnuplot failed or ran too long, which is a warning). Throws ShapeError
  /// for series that do not fit together, ConfigError for another extension, IoError when `file` cannot be
  /// written.
  bool write(const Chart& chart, const std::filesystem::path& file);
  bool write(const HeatMap& map, const std::filesystem::path& file);

 private:
  bool draw(const GnuplotScript& script, const std::filesystem::path& file);
  PlotterOptions options_;
  ProgressSink* sink_;
  std::filesystem::path program_;
  bool warned_ = false;
};

}  // namespace emshap::report
