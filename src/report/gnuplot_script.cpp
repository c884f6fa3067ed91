#include "report/gnuplot_script.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/report/text_table.h"
#include "report/gnuplot_series.h"
#include "report/number_text.h"

namespace emshap::report {
namespace {

void check_chart(const Chart& chart) {
  for (const Series& s : chart.series) {
    const std::size_t expected = s.style == Style::bars ? 0 : s.x.size();
    if (s.y.size() != expected)
      throw ShapeError(
          fmt::format("plot: series '{}' has {} y values, expected {}", s.name, s.y.size(), expected));
    if (s.style == Style::bars && s.x.size() != chart.categories.size())
      throw ShapeError(fmt::format("plot: series '{}' has {} bars, expected {}, the number of categories",
                                   s.name, s.x.size(), chart.categories.size()));
    for (const std::size_t length : {s.base.size(), s.error.size(), s.shade.size(), s.labels.size()})
      if (length != 0 && length != s.x.size())
        throw ShapeError(
            fmt::format("plot: series '{}' has {} starts, errors, shades or labels, expected none or {}",
                        s.name, length, s.x.size()));
  }
}

/// Widens [low, high] to hold `value`.
void include(double& low, double& high, double value) {
  low = std::min(low, value);
  high = std::max(high, value);
}

/// Limits of an axis: those asked for, else the data's with a margin of 4 % (a factor on a logarithmic axis).
Axis with_limits(Axis axis, double low, double high) {
  if (!(low <= high)) low = axis.logarithmic ? 1 : 0, high = axis.logarithmic ? 10 : 1;
  if (axis.logarithmic) {
    const double margin = low == high ? 2 : std::pow(high / low, .04);
    low /= margin;
    high *= margin;
  } else {
    const double size = std::max(std::abs(low), std::abs(high));
    const bool one_place = high - low <= 1e-10 * size;  // closer together than numbers can be written
    const double margin = !one_place ? (high - low) * .04 : size == 0 ? 1 : size * .05;
    low -= margin;
    high += margin;
  }
  if (!axis.low) axis.low = low;
  if (!axis.high) axis.high = high;
  if (!(*axis.low < *axis.high)) *axis.high = *axis.low + 1;
  return axis;
}

/// Room for the texts beside bars, as a share of the plot's width, estimated from their lengths.
double label_room(const Chart& chart, Canvas canvas) {
  std::int64_t name = 0, label = 5;
  for (const std::string& text : chart.categories) name = std::max(name, display_width(text));
  for (const Series& s : chart.series)
    for (const std::string& text : s.labels) label = std::max(label, display_width(text));
  const double letter = 8.2;  // pixels
  const double width = std::max(canvas.width - 60 - letter * static_cast<double>(name), canvas.width * .3);
  return std::min(letter * static_cast<double>(label + 1) / width, .6);
}

void resolve_limits(const Chart& chart, Canvas canvas, Axis& x, Axis& y) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  double x_low = inf, x_high = -inf, y_low = inf, y_high = -inf;
  for (const Series& s : chart.series)
    for (std::size_t i = 0; i < s.x.size(); ++i) {
      if (!drawable(s.x[i], x)) continue;
      const double error = std::max(entry(s.error, i, 0), 0.0);
      if (s.style == Style::bars) {
        for (const double end : {s.x[i] - error, s.x[i] + error, entry(s.base, i, s.x[i])})
          if (drawable(end, x)) include(x_low, x_high, end);
        continue;
      }
      if (!drawable(s.y[i], y)) continue;
      include(x_low, x_high, s.x[i]);
      for (const double end : {s.y[i] - error, s.y[i] + error})
        if (drawable(end, y)) include(y_low, y_high, end);
    }
  if (chart.zero_line && !y.logarithmic) include(y_low, y_high, 0);
  if (chart.diagonal && x_low <= x_high) {
    include(x_low, x_high, y_low);
    include(x_low, x_high, y_high);
    y_low = x_low;
    y_high = x_high;
  }
  const bool no_x_low = !x.low, no_y_low = !y.low;
  const bool boxes = std::any_of(chart.series.begin(), chart.series.end(),
                                 [](const Series& s) { return s.style == Style::boxes; });
  const bool bars = std::any_of(chart.series.begin(), chart.series.end(),
                                [](const Series& s) { return s.style == Style::bars; });
  const bool floating =
      std::any_of(chart.series.begin(), chart.series.end(), [](const Series& s) { return !s.base.empty(); });
  const bool from_zero = bars && !floating && !x.logarithmic;
  if (from_zero) include(x_low, x_high, 0);
  if (boxes && !y.logarithmic) include(y_low, y_high, 0);
  x = with_limits(x, x_low, x_high);
  y = with_limits(y, y_low, y_high);
  // Bars and boxes stand on zero; no gap below it.
  if (from_zero && no_x_low && x_low == 0) x.low = 0;
  if (bars && !x.logarithmic) {
    const double share = label_room(chart, canvas), negative = floating || *x.low < 0 ? share : 0;
    const double range = (*x.high - *x.low) / (1 - std::min(share + negative, .8));
    x.high = *x.high + range * share;
    x.low = *x.low - range * negative;
  }
  if (boxes && no_y_low && !y.logarithmic && y_low == 0) y.low = 0;
}

/// Height that gives each of `lines` category names its line; few lines do not become wide bands.
int height_for(std::size_t lines, int line, Canvas canvas) {
  const int count = static_cast<int>(std::min<std::size_t>(std::max<std::size_t>(lines, 1), 400));
  return std::min(std::max(canvas.height, 140 + line * count), 140 + 2 * line * (count + 1));
}

/// What surrounds the data: terminal, borders, grid, title and note, legend. Title and note start at the left
/// edge of the graph, or of the picture where names take much of its left, and are cut to the width.
std::string frame(const std::string& title, const std::string& note, Canvas canvas, bool square, bool names) {
  const int width = square ? canvas.height * 23 / 20 : canvas.width;
  const auto below_top = [&](double pixels) { return number(1 - pixels / canvas.height); };
  std::string out = "set encoding utf8\nset minussign\n";
  out += fmt::format("set terminal {} noenhanced size {},{} font 'sans-serif,{}' background rgb 'white'\n",
                     canvas.png ? "pngcairo" : "svg dynamic", width, canvas.height, canvas.png ? 10 : 14);
  out += fmt::format(
      "set output '{}'\n"
      "set border 3 lw 1 lc rgb '#8c8c8c'\n"
      "set tics out nomirror scale .5,.25 textcolor rgb '{}'\n"
      "set grid back lt 1 lw 1 lc rgb '#e8e8e8'\n"
      "set format x '%.6g'\nset format y '%.6g'\n"
      "set tmargin at screen {}\n",
      output_name(canvas.png), ink, below_top(note.empty() ? 72 : 82));
  out += square ? std::string("set key at graph .985, graph .02 right bottom")
                : fmt::format("set key at graph 1, screen {} right bottom horizontal", below_top(78));
  out += fmt::format(" samplen 2 textcolor rgb '{}'\n", ink);
  const auto text = [&](int tag, const std::string& content, double pixels, int size, const char* rgb) {
    if (content.empty()) return;
    const int letter = pixels < 40 ? 9 : 7, room = (width - (names ? 30 : 90)) / letter;
    out += fmt::format("set label {} {} at {}, screen {} left font 'sans-serif,{}' textcolor rgb '{}'\n", tag,
                       quote(short_text(content, room)), names ? "screen .02" : "graph 0", below_top(pixels),
                       size, rgb);
  };
  text(1, title, 28, canvas.png ? 14 : 18, ink);
  text(2, note, 56, canvas.png ? 9 : 13, faint);
  return out;
}

/// 1, 2 and 5 times the powers of ten of a short logarithmic axis, which gnuplot would leave almost without
/// numbers.
std::string logarithmic_tics(char name, const Axis& axis) {
  const int first = static_cast<int>(std::floor(std::log10(*axis.low))),
            last = static_cast<int>(std::ceil(std::log10(*axis.high)));
  if (last - first > 4) return {};
  std::string list;
  for (int power = first; power <= last; ++power)
    for (const int digit : {1, 2, 5}) {
      const double value = digit * std::pow(10.0, power);
      if (value < *axis.low || value > *axis.high) continue;
      list += fmt::format("{}'{:.6g}' {}", list.empty() ? "" : ", ", value, number(value));
    }
  return fmt::format("set {}tics ({})\n", name, list);
}

std::string tics(char axis, const std::vector<std::string>& names, bool slanted) {
  std::string out =
      fmt::format("set {}tics scale 0 {}(", axis, slanted ? "rotate by -40 left " : "norotate ");
  bool first = true;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty()) continue;
    out += (first ? "" : ", ") + tic_text(names[i]) + fmt::format(" {}", i);
    first = false;
  }
  return out + ")\n";
}

std::string axis_commands(char name, const Axis& axis) {
  std::string out = fmt::format("set {0}label {1} textcolor rgb '{2}'\nset {0}range [{3}:{4}] noextend\n",
                                name, quote(axis.label), ink, number(*axis.low), number(*axis.high));
  if (axis.logarithmic) out += fmt::format("set logscale {}\n", name) + logarithmic_tics(name, axis);
  if (!axis.names.empty()) out += tics(name, axis.names, name == 'x' && axis.names.size() > 4);
  return out;
}

/// The colour scale of shaded points, where there are any.
std::string shade_scale(const Chart& chart) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  bool shaded = false;
  for (const Series& s : chart.series)
    for (const double value : s.shade) {
      shaded = true;
      if (std::isfinite(value)) include(low, high, value);
    }
  if (!shaded) return {};
  if (!(low <= high)) low = 0, high = 1;
  if (chart.colours.low) low = *chart.colours.low;
  if (chart.colours.high) high = *chart.colours.high;
  if (!(low < high)) high = low + (low == 0 ? 1 : std::abs(low) * .05);
  return colour_scale(chart.colours, low, high, false, Palette::shades);
}

std::string mark_commands(const Mark& mark, const Axis& x, int tag) {
  if (!drawable(mark.x, x)) return {};
  const double middle = x.logarithmic ? std::sqrt(*x.low * *x.high) : (*x.low + *x.high) / 2;
  return fmt::format(
      "set arrow {0} from first {1}, graph 0 to first {1}, graph 1 nohead dt (6,4) lw 1.2 lc rgb '{2}' "
      "front\n"
      "set label {0} {3} at first {1}, graph .965 {4} offset character {5},0 textcolor rgb '{2}' front\n",
      tag, number(mark.x), faint, quote(mark.text), mark.x > middle ? "right" : "left",
      mark.x > middle ? "-.7" : ".7");
}

}  // namespace

std::string quote(std::string_view text) {
  constexpr std::string_view harmless = " _.,:;+-=()/<>";
  std::string out = "\"";
  for (const char c : printable(text)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || std::isalnum(byte) != 0 || harmless.find(c) != std::string_view::npos)
      out += c;
    else if (byte < 0100)
      out +=
          fmt::format("\\0{:03o}", byte);  // after a leading zero gnuplot reads up to four digits, else three
    else
      out += fmt::format("\\{:03o}", byte);
  }
  return out + '"';
}

std::string tic_text(const std::string& name) {
  std::string out;
  for (const char c : name) out += c == '%' ? std::string("%%") : std::string(1, c);
  return quote(out);
}

const char* output_name(bool png) {
  return png ? "chart.png" : "chart.svg";
}

GnuplotScript script_of(const Chart& chart, Canvas canvas) {
  check_chart(chart);
  Axis x = chart.x, y = chart.y;
  resolve_limits(chart, canvas, x, y);
  const bool lines = !chart.categories.empty();
  if (lines) canvas.height = height_for(chart.categories.size(), chart.category_height, canvas);
  GnuplotScript script{
      canvas.png, chart.title, frame(chart.title, chart.note, canvas, chart.diagonal, lines), {}};
  if (lines) {
    y = Axis{chart.y.label, false, static_cast<double>(chart.categories.size()) - .4, -.6};
    script.commands += "set grid noytics\n" + tics('y', chart.categories, false);
  }
  script.commands += axis_commands('x', x) + axis_commands('y', y);
  if (chart.diagonal) script.commands += "set size ratio 1\n";
  int tag = 10;
  for (const Mark& mark : chart.marks) script.commands += mark_commands(mark, x, tag++);

  Elements elements(script);
  script.commands += shade_scale(chart);
  const Plane plane{x, y, chart.diagonal};
  std::size_t bar = 0, bar_series = 0;
  for (const Series& s : chart.series) bar_series += s.style == Style::bars ? 1U : 0U;
  if (chart.overlaid) bar_series = 1;
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    const Series& s = chart.series[i];
    const char* rgb = colour(s, i);
    switch (s.style) {
      case Style::line:
        add_line(elements, s, plane, rgb);
        break;
      case Style::points:
        add_points(elements, s, plane, rgb);
        break;
      case Style::density:
        add_density(script, elements, s, plane, rgb);
        break;
      case Style::boxes:
        add_boxes(elements, s, plane, rgb);
        break;
      case Style::bars:
        add_bars(elements, s, plane, chart.overlaid ? 0 : bar++, bar_series, rgb);
        break;
    }
  }
  const std::string reference = "with lines dt (6,4) lw 1.4 lc rgb '#D55E00'";
  if (chart.diagonal) elements.add_expression("x " + reference, "predicted = actual");
  if (chart.zero_line) elements.add_expression("0 " + reference, "");
  elements.finish(y);
  return script;
}

GnuplotScript script_of(const HeatMap& map, Canvas canvas) {
  const std::size_t rows = map.row_names.size(), cols = map.column_names.size();
  if (map.values.size() != rows * cols)
    throw ShapeError(
        fmt::format("plot: heat map has {} values, expected {} x {}", map.values.size(), rows, cols));
  double low = std::numeric_limits<double>::infinity(), high = -low;
  std::string data;
  for (std::size_t i = 0; i < map.values.size(); ++i) {
    if (!std::isfinite(map.values[i])) continue;
    include(low, high, map.values[i]);
    const double c = static_cast<double>(i % cols), r = static_cast<double>(i / cols);
    data += fmt::format("{} {} {} {} {}\n", number(c - .5), number(c + .5), number(r - .5), number(r + .5),
                        number(map.values[i]));
  }
  if (!(low <= high)) low = 0, high = 1;
  if (map.limit) low = std::max(low, -*map.limit), high = std::min(high, *map.limit);
  if (map.diverging) {
    high = std::max(std::abs(low), std::abs(high));
    low = -high;
  }
  if (low == high) high = low + 1;
  const Axis x{"", false, -.5, static_cast<double>(std::max<std::size_t>(cols, 1)) - .5};
  const Axis y{"", false, static_cast<double>(std::max<std::size_t>(rows, 1)) - .5, -.5};
  canvas.height = height_for(rows + 4, 24, canvas);
  GnuplotScript script{canvas.png, map.title, frame(map.title, map.note, canvas, false, true), {}};
  script.commands += "unset grid\nunset border\n" + axis_commands('x', x) + axis_commands('y', y) +
                     tics('x', map.column_names, true) + tics('y', map.row_names, false) +
                     colour_scale({map.value_label, {}, {}}, low, high, false,
                                  map.diverging ? Palette::diverging : Palette::counts);
  Elements elements(script);
  elements.add(std::move(data), "using 1:3:1:2:3:4:5 with boxxyerror fs solid 1 noborder lc palette", "");
  elements.finish(y);
  return script;
}

}  // namespace emshap::report
