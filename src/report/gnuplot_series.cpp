#include "report/gnuplot_series.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "emshap/report/text_table.h"

namespace emshap::report {
namespace {

// Okabe & Ito 2008, readable with every common colour blindness.
constexpr std::array<const char*, 6> palette{"#0072B2", "#D55E00", "#009E73",
                                             "#CC79A7", "#E69F00", "#56B4E9"};
// Red and blue as readers of Shapley values know them.
constexpr const char* red = "#ff0051";
constexpr const char* blue = "#008bfb";
constexpr const char* pale = "#a6a6a6";

std::string with_alpha(int transparency, const char* rgb) {
  return fmt::format("#{:02x}{}", transparency, rgb + 1);
}

std::string columns(const Series& s, const Plane& plane, bool break_lines) {
  std::string out;
  bool open = false;
  for (std::size_t i = 0; i < s.x.size(); ++i) {
    if (drawable(s.x[i], plane.x) && drawable(s.y[i], plane.y)) {
      out += number(s.x[i]) + ' ' + number(s.y[i]) + '\n';
      open = true;
    } else if (break_lines && open) {
      out += '\n';
      open = false;
    }
  }
  return out;
}

/// Texts in a data file: between quotes, with what gnuplot would read as a quote or an escape taken out.
std::string data_text(const std::string& text) {
  std::string out = "\"";
  for (const char c : printable(text)) out += c == '"' || c == '\\' ? '\'' : c;
  return out + '"';
}

std::string minus_sign(std::string text) {
  if (!text.empty() && text.front() == '-') text.replace(0, 1, "\xE2\x88\x92");  // U+2212, as on the axes
  return text;
}

/// Error bars of half length `error`: along x for bars at `y`, along y for points.
void add_errors(Elements& elements, const Series& s, const Plane& plane, const std::vector<double>& y,
                bool along_x, const char* rgb) {
  std::string data;
  for (std::size_t i = 0; i < s.error.size(); ++i) {
    const double error = entry(s.error, i, 0), dx = along_x ? error : 0, dy = along_x ? 0 : error;
    if (error <= 0 || !drawable(s.x[i] - dx, plane.x) || !drawable(y[i] - dy, plane.y)) continue;
    data +=
        fmt::format("{} {} {} {}\n", number(s.x[i] - dx), number(y[i] - dy), number(2 * dx), number(2 * dy));
  }
  elements.add(std::move(data),
               fmt::format("using 1:2:3:4 with vectors heads size screen .004,90 lw 1.2 lc rgb '{}'", rgb),
               "");
}

}  // namespace

std::string number(double value) {
  return fmt::format("{:.12g}", value);
}

bool drawable(double value, const Axis& axis) {
  return std::isfinite(value) && (!axis.logarithmic || value > 0);
}

double entry(const std::vector<double>& list, std::size_t i, double absent) {
  return i < list.size() && std::isfinite(list[i]) ? list[i] : absent;
}

const char* colour(const Series& s, std::size_t i) {
  switch (s.tone) {
    case Tone::increase:
      return red;
    case Tone::decrease:
      return blue;
    case Tone::neutral:
      return faint;
    case Tone::automatic:
      break;
  }
  return palette[i % palette.size()];
}

std::string colour_scale(const ColourScale& scale, double low, double high, bool logarithmic, Palette what) {
  std::string out = "set palette defined ";
  switch (what) {
    case Palette::counts:
      out += "(0 '#c6dbef', .35 '#6baed6', .7 '#2171b5', 1 '#08306b')\n";
      break;
    case Palette::diverging:
      out += "(0 '#2166ac', .25 '#92c5de', .5 '#f7f7f7', .75 '#f4a582', 1 '#b2182b')\n";
      break;
    case Palette::shades:
      out += fmt::format("(0 '{}', .5 '#8c4fc4', 1 '{}')\n", blue, red);
      break;
  }
  out += fmt::format("set cblabel {} offset character .8,0 textcolor rgb '{}'\nset cbrange [{}:{}]\n",
                     quote(scale.label), ink, number(low), number(high));
  out +=
      fmt::format("set colorbox noborder\nset cbtics scale 0 textcolor rgb '{}'\nset format cb '%g'\n", ink);
  if (!scale.tics.empty()) {
    std::string list;
    for (const auto& [value, text] : scale.tics)
      list += fmt::format("{}{} {}", list.empty() ? "" : ", ", tic_text(text), number(value));
    out += "set cbtics (" + list + ")\n";
  }
  if (logarithmic) out += "set logscale cb\n";
  return out;
}

void Elements::add(std::string data, const std::string& how, const std::string& legend) {
  if (data.empty()) return;  // gnuplot treats an empty file as an error
  const std::string name = fmt::format("data{}.txt", script_.files.size());
  script_.files.emplace_back(name, std::move(data));
  add_expression(fmt::format("'{}' {}", name, how), legend);
}

void Elements::add_expression(const std::string& expression, const std::string& legend) {
  list_ += list_.empty() ? "plot " : ", \\\n     ";
  list_ += expression + (legend.empty() ? " notitle" : " title " + quote(legend));
}

void Elements::finish(const Axis& y) {
  if (list_.empty()) add_expression(number(2 * *y.high - *y.low) + " with lines", "");
  script_.commands += list_ + "\nunset output\n";
}

void add_line(Elements& elements, const Series& s, const Plane& plane, const char* rgb) {
  elements.add(columns(s, plane, true),
               s.tone == Tone::neutral ? fmt::format("using 1:2 with lines dt (3,3) lw 1 lc rgb '{}'", pale)
                                       : fmt::format("using 1:2 with lines lw 2.2 lc rgb '{}'", rgb),
               s.name);
}

void add_points(Elements& elements, const Series& s, const Plane& plane, const char* rgb) {
  const double size = s.x.size() <= 200 ? .7 : s.x.size() <= 1000 ? .5 : .4;
  const int transparency = s.x.size() <= 200 ? 0x30 : 0x80;
  add_errors(elements, s, plane, s.y, false, pale);
  if (s.shade.empty()) {
    elements.add(
        columns(s, plane, false),
        fmt::format("using 1:2 with points pt 7 ps {} lc rgb '{}'", size, with_alpha(transparency, rgb)),
        s.name);
  } else {
    std::string shaded, grey;
    for (std::size_t i = 0; i < s.x.size(); ++i) {
      if (!drawable(s.x[i], plane.x) || !drawable(s.y[i], plane.y)) continue;
      const std::string place = number(s.x[i]) + ' ' + number(s.y[i]);
      if (std::isfinite(s.shade[i]))
        shaded += place + ' ' + number(s.shade[i]) + '\n';
      else
        grey += place + '\n';
    }
    elements.add(std::move(grey), fmt::format("using 1:2 with points pt 7 ps {} lc rgb '{}'", size, pale),
                 "");
    elements.add(std::move(shaded), fmt::format("using 1:2:3 with points pt 7 ps {} lc palette", size),
                 s.name);
  }
  std::string texts;
  for (std::size_t i = 0; i < s.labels.size(); ++i)
    if (!s.labels[i].empty() && drawable(s.x[i], plane.x) && drawable(s.y[i], plane.y))
      texts += number(s.x[i]) + ' ' + number(s.y[i]) + ' ' + data_text(s.labels[i]) + '\n';
  elements.add(std::move(texts),
               fmt::format("using 1:2:3 with labels left offset character .8,0 textcolor rgb '{}'", ink), "");
}

void add_density(GnuplotScript& script, Elements& elements, const Series& s, const Plane& plane,
                 const char* rgb) {
  const std::vector<DensityCell> cells =
      s.x.size() > density_threshold
          ? density_cells(s.x, s.y, plane.x, plane.y, plane.square ? 100 : 130, plane.square ? 100 : 80)
          : std::vector<DensityCell>();
  std::int64_t most = 0;
  for (const DensityCell& cell : cells) most = std::max(most, cell.count);
  if (most < 2) return add_points(elements, s, plane, rgb);
  script.commands +=
      colour_scale({"points per cell", {}, {}}, 1, static_cast<double>(most), true, Palette::counts);
  std::string data;
  for (const DensityCell& c : cells)
    data += fmt::format("{} {} {} {} {}\n", number(c.x_low), number(c.x_high), number(c.y_low),
                        number(c.y_high), c.count);
  elements.add(std::move(data), "using 1:3:1:2:3:4:5 with boxxyerror fs solid 1 noborder lc palette", s.name);
}

void add_boxes(Elements& elements, const Series& s, const Plane& plane, const char* rgb) {
  const double width = s.x.size() > 1 ? (s.x[1] - s.x[0]) * .92 : (*plane.x.high - *plane.x.low) * .5;
  elements.add(columns(s, plane, false),
               fmt::format("using 1:2:({}) with boxes fs solid 1 noborder lc rgb '{}'", number(width), rgb),
               s.name);
}

void add_bars(Elements& elements, const Series& s, const Plane& plane, std::size_t which, std::size_t of,
              const char* rgb) {
  const Axis& x = plane.x;
  std::string data;
  std::vector<double> middle(s.x.size());
  const double height = .76 / static_cast<double>(of);
  for (std::size_t i = 0; i < s.x.size(); ++i) {
    middle[i] =
        static_cast<double>(i) + height * (static_cast<double>(which) + .5 - .5 * static_cast<double>(of));
    const double base = entry(s.base, i, x.logarithmic ? *x.low : 0);
    if (!drawable(s.x[i], x) || !drawable(base, x)) continue;
    data += fmt::format("{} {} {} {}\n", number(base), number(s.x[i]), number(middle[i] - .46 * height),
                        number(middle[i] + .46 * height));
  }
  elements.add(std::move(data),
               fmt::format("using 1:3:1:2:3:4 with boxxyerror fs solid 1 noborder lc rgb '{}'", rgb), s.name);
  add_errors(elements, s, plane, middle, true, ink);
  if (of > 1) return;  // values at the ends of grouped bars would collide
  for (const bool negative : {false, true}) {
    std::string ends;
    for (std::size_t i = 0; i < s.x.size(); ++i) {
      const double base = entry(s.base, i, 0);
      if (!drawable(s.x[i], x) || (s.x[i] < base) != negative) continue;
      const std::string text = s.labels.empty() ? minus_sign(fmt::format("{:.3g}", s.x[i])) : s.labels[i];
      const double end = s.x[i] + (negative ? -1 : 1) * std::max(entry(s.error, i, 0), 0.0);
      if (!text.empty() && drawable(end, x))
        ends += fmt::format("{} {} {}\n", number(end), number(middle[i]), data_text(text));
    }
    elements.add(std::move(ends),
                 fmt::format("using 1:2:3 with labels {} offset character {},0 textcolor rgb '{}'",
                             negative ? "right" : "left", negative ? "-.5" : ".5", faint),
                 "");
  }
}

}  // namespace emshap::report
