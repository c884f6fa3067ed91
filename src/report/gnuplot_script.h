#pragma once
// From a chart to what gnuplot reads: commands and data files. Nothing of the user's enters a command except
// through quote(); numbers are formatted here and names are those of this file.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/report/plot.h"

namespace emshap::report {

struct GnuplotScript {
  bool png = false;
  std::string title;     ///< of the picture, for programs that read it aloud
  std::string commands;  ///< writes `output_name(png)` in the working folder
  std::vector<std::pair<std::string, std::string>> files;  ///< name, content
};

/// A gnuplot literal that shows `text`: in double quotes, where letters, digits, blanks, some harmless
/// punctuation and UTF-8 stand for themselves and every other character is an octal escape, so that no quote,
/// backslash, backquote, macro or line end of the text meets gnuplot's scanner (which misreads a doubled
/// quote at the start of a literal in single quotes). Control characters become spaces, invalid UTF-8 becomes
/// U+FFFD.
EMSHAP_API std::string quote(std::string_view text);

const char* output_name(bool png);

struct Canvas {
  int width, height;
  bool png;
};

/// Throw ShapeError for parts that do not fit together.
EMSHAP_API GnuplotScript script_of(const Chart& chart, Canvas canvas);
EMSHAP_API GnuplotScript script_of(const HeatMap& map, Canvas canvas);

/// Square cells of a plane and the number of points in each; empty cells are left out.
struct DensityCell {
  double x_low, x_high, y_low, y_high;
  std::int64_t count;
};
/// Bins finite points into columns x rows cells over the given range, in the scale of each axis.
EMSHAP_API std::vector<DensityCell> density_cells(const std::vector<double>& x, const std::vector<double>& y,
                                                  const Axis& x_axis, const Axis& y_axis, int columns,
                                                  int rows);
/// Above this many points a density series is drawn as cells.
inline constexpr std::size_t density_threshold = 3000;

}  // namespace emshap::report
