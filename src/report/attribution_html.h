#pragma once
// The report as one HTML file that is also well-formed XML.
#include <string>
#include <string_view>
#include <vector>

#include "report/attribution_view.h"

namespace emshap::report {

/// One picture: which part of the page it belongs to, its title for readers of the page, and its SVG.
struct Picture {
  enum class Part : std::uint8_t { importance, beeswarm, dependence, waterfall, time, quality } part;
  std::string title, svg;
};

/// An SVG file as an element of a page: without its prologue, with all its ids made its own by `prefix`.
EMSHAP_API std::string inline_svg(std::string_view svg, const std::string& prefix, const std::string& title);

/// The whole page. `missing` says why there are no pictures, or is empty.
std::string attribution_page(const AttributionView& view, const std::vector<Picture>& pictures,
                             const std::string& missing);

// Parts of the page.
std::string importance_table(const AttributionView& view);
/// Rows beyond options.table_rows are left out, which a note says.
std::string rows_table(const AttributionView& view);
std::string quality_section(const AttributionView& view, const std::string& pictures);

/// A table: head and cells are markup already; columns from `numbers` on are right-aligned.
std::string simple_table(const std::vector<std::string>& head,
                         const std::vector<std::vector<std::string>>& rows, std::size_t numbers = 1);

/// A paragraph in small print.
std::string note(const std::string& markup);
/// percent_text as markup.
std::string percent_markup(double share);
inline constexpr const char* unknown = "\xE2\x80\x93";  ///< en dash, in cells

/// Style and script of the page.
extern const char* const page_style;
extern const char* const page_script;

}  // namespace emshap::report
