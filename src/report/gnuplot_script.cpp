#include "report/gnuplot_script.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/report/text_table.h"

namespace emshap::report {
namespace {

// Okabe & Ito 2008, readable with every common colour blindness.
constexpr std::array<const char*, 6> palette{"#0072B2", "#D55E00", "#009E73",
                                             "#CC79A7", "#E69F00", "#56B4E9"};
constexpr const char* ink = "#262626";
constexpr const char* faint = "#6b6b6b";

const char* colour(std::size_t i) {
  return palette[i % palette.size()];
}

std::string number(double value) {
  return fmt::format("{:.9g}", value);
}

std::string with_alpha(int transparency, const char* rgb) {
  return fmt::format("#{:02x}{}", transparency, rgb + 1);
}

bool drawable(double value, const Axis& axis) {
  return std::isfinite(value) && (!axis.logarithmic || value > 0);
}

void check_chart(const Chart& chart) {
  for (const Series& s : chart.series) {
    const std::size_t expected = s.style == Style::bars ? 0 : s.x.size();
    if (s.y.size() != expected)
      throw ShapeError(
          fmt::format("plot: series '{}' has {} y values, expected {}", s.name, s.y.size(), expected));
    if (s.style == Style::bars && s.x.size() != chart.categories.size())
      throw ShapeError(fmt::format("plot: series '{}' has {} bars, expected {}, the number of categories",
                                   s.name, s.x.size(), chart.categories.size()));
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
    const double margin = low == high ? std::max(std::abs(low) * .05, 1e-9) : (high - low) * .04;
    low -= margin;
    high += margin;
  }
  if (!axis.low) axis.low = low;
  if (!axis.high) axis.high = high;
  if (!(*axis.low < *axis.high)) *axis.high = *axis.low + 1;
  return axis;
}

void resolve_limits(const Chart& chart, Axis& x, Axis& y) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  double x_low = inf, x_high = -inf, y_low = inf, y_high = -inf;
  for (const Series& s : chart.series)
    for (std::size_t i = 0; i < s.x.size(); ++i) {
      if (!drawable(s.x[i], x)) continue;
      if (s.style == Style::bars) {
        include(x_low, x_high, s.x[i]);
        continue;
      }
      if (!drawable(s.y[i], y)) continue;
      include(x_low, x_high, s.x[i]);
      include(y_low, y_high, s.y[i]);
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
  const bool bars = !chart.categories.empty();
  if (bars && !x.logarithmic) include(x_low, x_high, 0);
  if (boxes && !y.logarithmic) include(y_low, y_high, 0);
  x = with_limits(x, x_low, x_high);
  y = with_limits(y, y_low, y_high);
  // Bars and boxes stand on zero; no gap below it.
  if (bars && !x.logarithmic) {
    if (no_x_low && x_low == 0) x.low = 0;
    const double room = (*x.high - *x.low) * .06;  // for the values at the ends
    x.high = *x.high + room;
    if (*x.low < 0) x.low = *x.low - room;
  }
  if (boxes && no_y_low && !y.logarithmic && y_low == 0) y.low = 0;
}

/// Height that gives each of `lines` category names its line.
int height_for(std::size_t lines, Canvas canvas) {
  return std::max(canvas.height, 140 + 24 * static_cast<int>(std::min<std::size_t>(lines, 400)));
}

/// What surrounds the data: terminal, borders, grid, title and note at the left edge of the graph, legend.
std::string frame(const std::string& title, const std::string& note, Canvas canvas, bool square) {
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
    out += fmt::format("set label {} {} at graph 0, screen {} left font 'sans-serif,{}' textcolor rgb '{}'\n",
                       tag, quote(content), below_top(pixels), size, rgb);
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

std::string axis_commands(char name, const Axis& axis) {
  std::string out = fmt::format("set {0}label {1} textcolor rgb '{2}'\nset {0}range [{3}:{4}] noextend\n",
                                name, quote(axis.label), ink, number(*axis.low), number(*axis.high));
  if (axis.logarithmic) out += fmt::format("set logscale {}\n", name) + logarithmic_tics(name, axis);
  return out;
}

std::string colour_scale(const std::string& label, double low, double high, bool logarithmic,
                         bool diverging) {
  std::string out =
      diverging
          ? "set palette defined (0 '#2166ac', .25 '#92c5de', .5 '#f7f7f7', .75 '#f4a582', 1 '#b2182b')\n"
          : "set palette defined (0 '#c6dbef', .35 '#6baed6', .7 '#2171b5', 1 '#08306b')\n";
  out += fmt::format("set cblabel {} textcolor rgb '{}'\nset cbrange [{}:{}]\n", quote(label), ink,
                     number(low), number(high));
  out +=
      fmt::format("set colorbox noborder\nset cbtics scale 0 textcolor rgb '{}'\nset format cb '%g'\n", ink);
  if (logarithmic) out += "set logscale cb\n";
  return out;
}

/// Collects the data files and the elements of the one plot command.
class Elements {
 public:
  explicit Elements(GnuplotScript& script) : script_(script) {}
  void add(std::string data, const std::string& how, const std::string& legend) {
    if (data.empty()) return;  // gnuplot treats an empty file as an error
    const std::string name = fmt::format("data{}.txt", script_.files.size());
    script_.files.emplace_back(name, std::move(data));
    add_expression(fmt::format("'{}' {}", name, how), legend);
  }
  void add_expression(const std::string& expression, const std::string& legend) {
    list_ += list_.empty() ? "plot " : ", \\\n     ";
    list_ += expression + (legend.empty() ? " notitle" : " title " + quote(legend));
  }
  /// gnuplot draws axes only with something in them: without data, a line beyond the range.
  void finish(const Axis& y) {
    if (list_.empty()) add_expression(number(2 * *y.high - *y.low) + " with lines", "");
    script_.commands += list_ + "\nunset output\n";
  }

 private:
  GnuplotScript& script_;
  std::string list_;
};

std::string columns(const Series& s, const Axis& x, const Axis& y, bool break_lines) {
  std::string out;
  bool open = false;
  for (std::size_t i = 0; i < s.x.size(); ++i) {
    if (drawable(s.x[i], x) && drawable(s.y[i], y)) {
      out += number(s.x[i]) + ' ' + number(s.y[i]) + '\n';
      open = true;
    } else if (break_lines && open) {
      out += '\n';
      open = false;
    }
  }
  return out;
}

void add_points(Elements& elements, const Series& s, const Axis& x, const Axis& y, const char* rgb) {
  const double size = s.x.size() <= 200 ? .7 : s.x.size() <= 1000 ? .5 : .4;
  const int transparency = s.x.size() <= 200 ? 0x30 : 0x80;
  elements.add(
      columns(s, x, y, false),
      fmt::format("using 1:2 with points pt 7 ps {} lc rgb '{}'", size, with_alpha(transparency, rgb)),
      s.name);
}

void add_density(GnuplotScript& script, Elements& elements, const Series& s, const Axis& x, const Axis& y,
                 bool square, const char* rgb) {
  const std::vector<DensityCell> cells =
      s.x.size() > density_threshold ? density_cells(s.x, s.y, x, y, square ? 100 : 130, square ? 100 : 80)
                                     : std::vector<DensityCell>();
  std::int64_t most = 0;
  for (const DensityCell& cell : cells) most = std::max(most, cell.count);
  if (most < 2) return add_points(elements, s, x, y, rgb);
  script.commands += colour_scale("points per cell", 1, static_cast<double>(most), true, false);
  std::string data;
  for (const DensityCell& c : cells)
    data += fmt::format("{} {} {} {} {}\n", number(c.x_low), number(c.x_high), number(c.y_low),
                        number(c.y_high), c.count);
  elements.add(std::move(data), "using 1:3:1:2:3:4:5 with boxxyerror fs solid 1 noborder lc palette", s.name);
}

void add_boxes(Elements& elements, const Series& s, const Axis& x, const Axis& y, const char* rgb) {
  const double width = s.x.size() > 1 ? (s.x[1] - s.x[0]) * .92 : (*x.high - *x.low) * .5;
  elements.add(columns(s, x, y, false),
               fmt::format("using 1:2:({}) with boxes fs solid 1 noborder lc rgb '{}'", number(width), rgb),
               s.name);
}

void add_bars(Elements& elements, const Series& s, const Axis& x, std::size_t which, std::size_t of) {
  std::string data;
  const double height = .76 / static_cast<double>(of);
  for (std::size_t i = 0; i < s.x.size(); ++i) {
    if (!drawable(s.x[i], x)) continue;
    const double middle =
        static_cast<double>(i) + height * (static_cast<double>(which) + .5 - .5 * static_cast<double>(of));
    const double base = x.logarithmic ? *x.low : 0;
    data += fmt::format("{} {} {} {}\n", number(base), number(s.x[i]), number(middle - .46 * height),
                        number(middle + .46 * height));
  }
  elements.add(
      std::move(data),
      fmt::format("using 1:3:1:2:3:4 with boxxyerror fs solid 1 noborder lc rgb '{}'", colour(which)),
      s.name);
  if (of > 1) return;  // values at the ends of grouped bars would collide
  for (const bool negative : {false, true}) {
    std::string ends;
    for (std::size_t i = 0; i < s.x.size(); ++i)
      if (drawable(s.x[i], x) && (s.x[i] < 0) == negative)
        ends += fmt::format("{} {} {}{:.3g}\n", number(s.x[i]), i, negative ? "\xE2\x88\x92" : "",
                            std::abs(s.x[i]));  // U+2212, the minus of the axes
    elements.add(std::move(ends),
                 fmt::format("using 1:2:3 with labels {} offset character {},0 textcolor rgb '{}'",
                             negative ? "right" : "left", negative ? "-.5" : ".5", faint),
                 "");
  }
}

/// Tic labels are formats to gnuplot, so that a percent sign is doubled.
std::string tic_text(const std::string& name) {
  std::string out;
  for (const char c : name) out += c == '%' ? std::string("%%") : std::string(1, c);
  return quote(out);
}

std::string tics(char axis, const std::vector<std::string>& names, bool slanted) {
  std::string out =
      fmt::format("set {}tics scale 0 {}(", axis, slanted ? "rotate by -40 left " : "norotate ");
  for (std::size_t i = 0; i < names.size(); ++i)
    out += (i > 0 ? ", " : "") + tic_text(names[i]) + fmt::format(" {}", i);
  return out + ")\n";
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

const char* output_name(bool png) {
  return png ? "chart.png" : "chart.svg";
}

GnuplotScript script_of(const Chart& chart, Canvas canvas) {
  check_chart(chart);
  Axis x = chart.x, y = chart.y;
  resolve_limits(chart, x, y);
  const bool bars = !chart.categories.empty();
  if (bars) canvas.height = height_for(chart.categories.size(), canvas);
  GnuplotScript script{canvas.png, chart.title, frame(chart.title, chart.note, canvas, chart.diagonal), {}};
  if (bars) {
    y = Axis{chart.y.label, false, static_cast<double>(chart.categories.size()) - .4, -.6};
    script.commands += "set grid noytics\n" + tics('y', chart.categories, false);
  }
  script.commands += axis_commands('x', x) + axis_commands('y', y);
  if (chart.diagonal) script.commands += "set size ratio 1\n";
  int tag = 10;
  for (const Mark& mark : chart.marks) script.commands += mark_commands(mark, x, tag++);

  Elements elements(script);
  const std::size_t bar_series = static_cast<std::size_t>(std::count_if(
      chart.series.begin(), chart.series.end(), [](const Series& s) { return s.style == Style::bars; }));
  std::size_t bar = 0;
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    const Series& s = chart.series[i];
    switch (s.style) {
      case Style::line:
        elements.add(columns(s, x, y, true),
                     fmt::format("using 1:2 with lines lw 2.2 lc rgb '{}'", colour(i)), s.name);
        break;
      case Style::points:
        add_points(elements, s, x, y, colour(i));
        break;
      case Style::density:
        add_density(script, elements, s, x, y, chart.diagonal, colour(i));
        break;
      case Style::boxes:
        add_boxes(elements, s, x, y, colour(i));
        break;
      case Style::bars:
        add_bars(elements, s, x, bar++, bar_series);
        break;
    }
  }
  const std::string reference = fmt::format("with lines dt (6,4) lw 1.4 lc rgb '{}'", palette[1]);
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
  if (map.diverging) {
    high = std::max(std::abs(low), std::abs(high));
    low = -high;
  }
  if (low == high) high = low + 1;
  const Axis x{"", false, -.5, static_cast<double>(std::max<std::size_t>(cols, 1)) - .5};
  const Axis y{"", false, static_cast<double>(std::max<std::size_t>(rows, 1)) - .5, -.5};
  canvas.height = height_for(rows + 4, canvas);
  GnuplotScript script{canvas.png, map.title, frame(map.title, map.note, canvas, false), {}};
  script.commands += "unset grid\nunset border\n" + axis_commands('x', x) + axis_commands('y', y) +
                     tics('x', map.column_names, true) + tics('y', map.row_names, false) +
                     colour_scale(map.value_label, low, high, false, map.diverging);
  Elements elements(script);
  elements.add(std::move(data), "using 1:3:1:2:3:4:5 with boxxyerror fs solid 1 noborder lc palette", "");
  elements.finish(y);
  return script;
}

}  // namespace emshap::report
