#include "report/attribution_html.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "emshap/core/version.h"
#include "report/number_text.h"

namespace emshap::report {
namespace {

std::string named_table(const std::vector<NamedText>& list) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, value] : list) rows.push_back({escape_markup(name), escape_markup(value)});
  return simple_table({}, rows, 2);
}

std::string tile(const std::string& value, const std::string& what) {
  return fmt::format("<div class=\"tile\"><b>{}</b><span>{}</span></div>\n", escape_markup(value),
                     escape_markup(what));
}

std::size_t count(const std::vector<std::uint8_t>& flags) {
  return static_cast<std::size_t>(
      std::count_if(flags.begin(), flags.end(), [](std::uint8_t f) { return f != 0; }));
}

std::string tiles(const AttributionView& view) {
  const AttributionReport& r = view.report;
  const bool groups = std::any_of(r.grouping.begin(), r.grouping.end(),
                                  [](const std::vector<std::int64_t>& list) { return list.size() != 1; });
  std::string out =
      "<div class=\"tiles\">\n" +
      tile(fixed_text(static_cast<double>(view.explained), 0),
           view.explained == 1 ? "row explained" : "rows explained") +
      (view.explained > view.rows ? tile(fixed_text(static_cast<double>(view.rows), 0), "of them shown here")
                                  : std::string()) +
      tile(fixed_text(static_cast<double>(view.players), 0), groups ? "features or groups" : "features") +
      tile(view.in_unit(number_text(r.phi0)), "phi0, the mean prediction");
  if (!r.method.empty()) out += tile(r.method, "method");
  if (!r.converged.empty())
    out += tile(percent_text(static_cast<double>(count(r.converged)) /
                             std::max<double>(static_cast<double>(view.rows), 1)),
                "rows converged");
  if (!r.unusual.empty()) out += tile(fixed_text(static_cast<double>(count(r.unusual)), 0), "unusual rows");
  if (!r.missing.empty() && count(r.missing) > 0)
    out += tile(fixed_text(static_cast<double>(count(r.missing)), 0), "rows with missing values");
  return out + "</div>\n";
}

std::string figures(const std::vector<Picture>& pictures, Picture::Part part) {
  std::string out;
  for (std::size_t i = 0; i < pictures.size(); ++i)
    if (pictures[i].part == part)
      out += "<figure>\n" + inline_svg(pictures[i].svg, fmt::format("p{}_", i), pictures[i].title) +
             "\n</figure>\n";
  return out.empty() ? out : "<div class=\"figures\">\n" + out + "</div>\n";
}

std::string section(const char* id, const char* title, const std::string& content) {
  if (content.empty()) return {};
  return fmt::format("<section id=\"{}\">\n<h2>{}</h2>\n{}</section>\n", id, title, content);
}

std::string reading(const AttributionView& view) {
  const std::string unit =
      view.report.unit.empty() ? std::string() : " in " + escape_markup(view.report.unit);
  std::string out = note(
      "phi of a feature says how far its value moves the prediction" + unit +
      " away from the mean prediction phi0, averaged over all orders in which the features could become "
      "known "
      "(conditional Shapley value). phi0 and the phi of a row add up to its prediction. Features that go "
      "together share what they jointly explain.");
  const std::vector<double>& errors = view.report.standard_error;
  if (std::any_of(errors.begin(), errors.end(), [](double e) { return std::isfinite(e); }))
    out += note(
        "&#177; is one standard error: how far phi would move if the run were repeated with another seed "
        "(choice of coalitions and Monte Carlo noise). It does not cover errors of the density model; the "
        "part on quality does.");
  else if (view.rows > 0)
    out += note("Standard errors are not known for this run.");
  return out;
}

}  // namespace

std::string inline_svg(std::string_view svg, const std::string& prefix, const std::string& title) {
  const std::size_t begin = svg.find("<svg");
  if (begin == std::string_view::npos) return {};
  svg.remove_prefix(begin + 4);
  std::string out = "<svg role=\"img\" aria-label=\"" + escape_markup(title) + "\"";
  bool in_tag = true;  // names are changed inside tags only: texts may look like attributes
  for (std::size_t i = 0; i < svg.size(); ++i) {
    const char c = svg[i];
    if (c == '<') in_tag = true;
    if (c == '>') in_tag = false;
    out += c;
    if (!in_tag) continue;
    const auto ends = [&](std::string_view text) {
      return i + 1 >= text.size() && svg.substr(i + 1 - text.size(), text.size()) == text;
    };
    if (ends(" id='") || ends(" id=\"") || ends("href='#") || ends("href=\"#") || ends("url(#"))
      out += prefix;
  }
  return out;
}

std::string note(const std::string& markup) {
  return "<p class=\"note\">" + markup + "</p>\n";
}

std::string percent_markup(double share) {
  return escape_markup(percent_text(share));
}

std::string simple_table(const std::vector<std::string>& head,
                         const std::vector<std::vector<std::string>>& rows, std::size_t numbers) {
  const auto line = [&](const std::vector<std::string>& cells, const char* tag) {
    std::string out = "<tr>";
    for (std::size_t i = 0; i < cells.size(); ++i)
      out += fmt::format("<{0}{1}>{2}</{0}>", tag, i >= numbers ? " class=\"n\"" : "", cells[i]);
    return out + "</tr>\n";
  };
  std::string out = "<div class=\"scroll\"><table>\n";
  if (!head.empty()) out += "<thead>" + line(head, "th") + "</thead>\n";
  out += "<tbody>\n";
  for (const auto& row : rows) out += line(row, "td");
  if (rows.empty()) out += "<tr><td>none</td></tr>\n";  // an empty body is not worth a table, but is valid
  return out + "</tbody>\n</table></div>\n";
}

std::string attribution_page(const AttributionView& view, const std::vector<Picture>& pictures,
                             const std::string& missing) {
  const AttributionReport& r = view.report;
  const std::string title = escape_markup(r.title.empty() ? "Attributions of " + view.target() : r.title);
  std::string head = fmt::format(
      "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n"
      "<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\"/>\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
      "&#39;none&#39;; style-src &#39;unsafe-inline&#39;; script-src &#39;unsafe-inline&#39;\"/>\n<meta "
      "name=\"generator\" content=\"emshap {}\"/>\n<title>{}</title>\n"
      "<style>\n{}</style>\n</head>\n<body>\n",
      escape_markup(version()), title, page_style);

  std::string top = "<header>\n<h1>" + title + "</h1>\n" + tiles(view);
  for (const std::string& warning : r.warnings)
    top += "<p class=\"warning\">" + escape_markup(warning) + "</p>\n";
  if (!missing.empty()) top += "<p class=\"warning\" id=\"no-pictures\">" + escape_markup(missing) + "</p>\n";
  top += reading(view) + "</header>\n";

  using Part = Picture::Part;
  std::string body;
  body += section("importance", "Which features matter",
                  view.players == 0 ? note("There are no features to attribute to.")
                                    : figures(pictures, Part::importance) + importance_table(view));
  body += section("effects", "How they act", figures(pictures, Part::beeswarm));
  body += section("dependence", "Effect against value", figures(pictures, Part::dependence));
  body += section("rows-explained", "Single rows", figures(pictures, Part::waterfall));
  body += section("time", "Over time", figures(pictures, Part::time));
  body += section("rows", "All rows", rows_table(view));
  body += section("quality", "Can this be trusted?", quality_section(view, figures(pictures, Part::quality)));
  std::string origin;
  if (!r.settings.empty()) origin += "<h3>Settings</h3>\n" + named_table(r.settings);
  if (!r.provenance.empty()) origin += "<h3>Data, model and program</h3>\n" + named_table(r.provenance);
  if (!view.options.result_files.empty()) {
    origin += "<h3>Files with all numbers</h3>\n<ul>\n";
    for (const std::string& file : view.options.result_files)
      origin += fmt::format("<li><a href=\"./{0}\">{0}</a></li>\n", escape_markup(file));
    origin += "</ul>\n";
  }
  body += section("origin", "Where it comes from", origin);

  std::string links = "<nav>\n";
  for (const auto& [id, text] :
       std::vector<std::pair<const char*, const char*>>{{"importance", "Features"},
                                                        {"effects", "Effects"},
                                                        {"dependence", "Dependence"},
                                                        {"rows-explained", "Single rows"},
                                                        {"time", "Time"},
                                                        {"rows", "All rows"},
                                                        {"quality", "Quality"},
                                                        {"origin", "Origin"}})
    if (body.find(fmt::format("<section id=\"{}\">", id)) != std::string::npos)
      links += fmt::format("<a href=\"#{}\">{}</a>\n", id, text);
  links += "</nav>\n";
  return head + links + "<main>\n" + top + body + "</main>\n<script>\n" + page_script +
         "</script>\n</body>\n</html>\n";
}

}  // namespace emshap::report
