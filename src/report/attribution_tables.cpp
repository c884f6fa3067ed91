// The tables of the attribution report.
#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "report/attribution_html.h"
#include "report/number_text.h"

namespace emshap::report {
namespace {

/// Class of a cell by the size of phi: "u1".."u5" for increases, "d1".."d5" for decreases, none near 0.
std::string tint(double phi, double scale) {
  if (!std::isfinite(phi) || !(scale > 0)) return {};
  const int level = std::min(static_cast<int>(std::abs(phi) / scale * 6), 5);
  return level < 1 ? std::string() : fmt::format("{}{}", phi < 0 ? 'd' : 'u', level);
}

std::string flags_of(const AttributionView& view, std::size_t row) {
  std::string out;
  const auto add = [&](const char* kind, const char* text, const char* what) {
    out +=
        fmt::format("{}<span class=\"{}\" title=\"{}\">{}</span>", out.empty() ? "" : " ", kind, what, text);
  };
  if (view.flag(view.report.unusual, row)) add("bad", "unusual", "far outside the training data");
  if (view.flag(view.report.missing, row)) add("flag", "missing", "values are missing; their phi is 0");
  if (!view.report.converged.empty() && view.report.converged[row] == 0)
    add("bad", "not converged", "standard errors are above the tolerance");
  return out;
}

/// Raw values behind a cell, for the mouse: "temperature = 23.4", a line for each column of a group.
std::string values_of(const AttributionView& view, std::size_t row, std::size_t player) {
  std::string out;
  std::size_t listed = 0;
  for (const std::size_t column : view.columns_of(player)) {
    if (++listed > 8) return out + ", ...";
    out += (out.empty() ? "" : ", ") + view.column_name(column) + " = " + view.value_text(row, column);
  }
  return out;
}

double mean_error(const AttributionView& view, std::size_t player) {
  double sum = 0, count = 0;
  for (std::size_t i = 0; i < view.rows; ++i)
    if (const double e = view.error(i, player); std::isfinite(e)) sum += e, ++count;
  return count > 0 ? sum / count : std::nan("");
}

}  // namespace

std::string importance_table(const AttributionView& view) {
  const AttributionReport& r = view.report;
  const std::string unit = r.unit.empty() ? "" : " (" + escape_markup(r.unit) + ")";
  const std::string of_shown = view.explained > view.rows ? " of rows shown" : "";
  std::vector<std::string> head{"feature", "mean |phi|" + unit, "share", "mean phi" + unit + of_shown};
  const bool errors = !r.standard_error.empty();
  if (errors) head.push_back("mean standard error" + unit + of_shown);
  if (!r.sage.empty())
    head.push_back("SAGE" + (r.sage_unit.empty() ? "" : " (" + escape_markup(r.sage_unit) + ")"));
  double total = 0;
  for (const double v : view.mean_absolute)
    if (std::isfinite(v)) total += v;
  std::vector<std::vector<std::string>> rows;
  for (const std::size_t j : view.order) {
    double sum = 0, count = 0;
    for (std::size_t i = 0; i < view.rows; ++i)
      if (std::isfinite(view.phi(i, j))) sum += view.phi(i, j), ++count;
    std::vector<std::string> row{escape_markup(view.name(j)), number_text(view.mean_absolute[j]),
                                 total > 0 ? percent_markup(view.mean_absolute[j] / total) : unknown,
                                 count > 0 ? number_text(sum / count) : unknown};
    if (errors) {
      const double e = mean_error(view, j);
      row.push_back(std::isnan(e) ? unknown : number_text(e));
    }
    if (!r.sage.empty()) row.push_back(number_text(r.sage[j]));
    rows.push_back(std::move(row));
  }
  return simple_table(head, rows);
}

std::string rows_table(const AttributionView& view) {
  const AttributionReport& r = view.report;
  if (view.rows == 0) return note("No rows were explained.");
  const std::size_t shown =
      std::min(view.rows, static_cast<std::size_t>(std::max<std::int64_t>(view.options.table_rows, 0)));
  const bool any_error = std::any_of(r.standard_error.begin(), r.standard_error.end(),
                                     [](double e) { return std::isfinite(e); });

  std::string head = "<tr><th>row</th>";
  const auto column = [&](const std::string& markup, bool player = false) {
    head += fmt::format("<th class=\"n\"{}>{}</th>", player ? " data-phi=\"1\"" : "", markup);
  };
  if (!r.node.empty()) head += "<th>node</th>";
  if (!r.time.empty() || !r.time_labels.empty()) head += "<th>time</th>";
  head += "<th>flags</th>";
  column("prediction");
  if (!r.actual.empty()) column("actual");
  for (std::size_t i = 0; i < view.shown; ++i) column(escape_markup(view.name(view.order[i])), true);
  if (view.others() > 0) column(view.others_text() + ", sum", true);
  if (!r.effective_min.empty()) column("least ESS");
  if (!r.effective_mean.empty()) column("mean ESS");
  head += "</tr>\n";

  const auto phi_cell = [&](double phi, double error, bool with_error, const std::string& title) {
    const std::string kind = tint(phi, view.scale);
    std::string out = "<td class=\"n" + (kind.empty() ? "" : " " + kind) + "\"";
    if (!title.empty()) out += " title=\"" + escape_markup(title) + "\"";
    out += ">" + signed_text(phi, view.decimals);
    if (with_error) out += " <i>&#177;&#160;" + escape_markup(error_text(error, view.decimals)) + "</i>";
    return out + "</td>";
  };
  std::string body;
  for (std::size_t i = 0; i < shown; ++i) {
    body += "<tr><td>" + escape_markup(view.label(i)) + "</td>";
    if (!r.node.empty()) body += "<td>" + escape_markup(r.node[i]) + "</td>";
    if (!r.time.empty() || !r.time_labels.empty())
      body += "<td>" + escape_markup(view.time_label(i)) + "</td>";
    body += "<td>" + flags_of(view, i) + "</td>";
    body += "<td class=\"n\">" + fixed_text(r.prediction[i], view.decimals) + "</td>";
    if (!r.actual.empty())
      body += "<td class=\"n\">" +
              (std::isnan(r.actual[i]) ? std::string(unknown) : fixed_text(r.actual[i], view.decimals)) +
              "</td>";
    for (std::size_t k = 0; k < view.shown; ++k)
      body += phi_cell(view.phi(i, view.order[k]), view.error(i, view.order[k]), any_error,
                       values_of(view, i, view.order[k]));
    if (view.others() > 0) body += phi_cell(view.phi_of_others(i), 0, false, "");
    for (const auto* list : {&r.effective_min, &r.effective_mean})
      if (!list->empty()) body += "<td class=\"n\">" + number_text((*list)[i]) + "</td>";
    body += "</tr>\n";
  }
  std::string out = note(fmt::format(
      "{}All numbers{} but ESS (effective sample size, draws).{} Colours: red raises, blue lowers the "
      "prediction. <span class=\"script\">A click on a heading sorts, a click on a row draws it.</span>",
      shown < view.rows ? fmt::format("The first {} of {} rows; the rest is in the files of results. ",
                                      fixed_text(static_cast<double>(shown), 0),
                                      fixed_text(static_cast<double>(view.rows), 0))
                        : std::string(),
      r.unit.empty() ? std::string(" are in the unit of the target") : " are in " + escape_markup(r.unit),
      r.values.empty() ? "" : " The mouse over a cell shows the value of the feature."));
  out += "<div id=\"panel\" hidden=\"hidden\"></div>\n";
  return out + "<div class=\"scroll tall\"><table id=\"rows-table\">\n<thead>" + head +
         "</thead>\n<tbody>\n" + body + "</tbody>\n</table></div>\n";
}

}  // namespace emshap::report
