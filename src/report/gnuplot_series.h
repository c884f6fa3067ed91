#pragma once
// From the series of a chart to the elements of gnuplot's one plot command.
#include <cstdint>
#include <string>
#include <vector>

#include "report/gnuplot_script.h"

namespace emshap::report {

inline constexpr const char* ink = "#262626";
inline constexpr const char* faint = "#6b6b6b";

/// Twelve significant digits, as gnuplot reads them.
std::string number(double value);
/// quote() for a tic label, which is a format to gnuplot: a percent sign is doubled.
std::string tic_text(const std::string& name);
/// Whether the axis has a place for the value.
bool drawable(double value, const Axis& axis);
/// The entry, or `absent` where the list is shorter or the entry is not finite.
double entry(const std::vector<double>& list, std::size_t i, double absent);
/// Colour of the series with number `i`.
const char* colour(const Series& s, std::size_t i);

/// Palette, limits and tics of the colour scale. `what`: counts (blues), diverging (blue, white, red) or
/// shades of points (blue, violet, red).
enum class Palette : std::uint8_t { counts, diverging, shades };
std::string colour_scale(const ColourScale& scale, double low, double high, bool logarithmic, Palette what);

/// Collects the data files and the elements of the one plot command.
class Elements {
 public:
  explicit Elements(GnuplotScript& script) : script_(script) {}
  void add(std::string data, const std::string& how, const std::string& legend);
  void add_expression(const std::string& expression, const std::string& legend);
  /// gnuplot draws axes only with something in them: without data, a line beyond the range.
  void finish(const Axis& y);

 private:
  GnuplotScript& script_;
  std::string list_;
};

/// The axes with the limits of the drawn chart.
struct Plane {
  const Axis &x, &y;
  bool square = false;
};

void add_line(Elements& elements, const Series& s, const Plane& plane, const char* rgb);
void add_points(Elements& elements, const Series& s, const Plane& plane, const char* rgb);
/// May add a colour scale to the script's commands.
void add_density(GnuplotScript& script, Elements& elements, const Series& s, const Plane& plane,
                 const char* rgb);
void add_boxes(Elements& elements, const Series& s, const Plane& plane, const char* rgb);
/// Bar series `which` of `of` that stand side by side in each category.
void add_bars(Elements& elements, const Series& s, const Plane& plane, std::size_t which, std::size_t of,
              const char* rgb);

}  // namespace emshap::report
