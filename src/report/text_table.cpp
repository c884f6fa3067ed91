#include "emshap/report/text_table.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "report/utf8.h"

namespace emshap::report {
namespace {

struct Range {
  char32_t first, last;
};

// Blocks of Unicode 15 whose East Asian Width is W or F, and emoji that terminals draw two columns wide.
constexpr std::array<Range, 20> wide{
    {{0x1100, 0x115F}, {0x231A, 0x231B}, {0x23E9, 0x23EC}, {0x2614, 0x2615},   {0x26A1, 0x26A1},
     {0x2705, 0x2705}, {0x274C, 0x274C}, {0x2E80, 0x303E}, {0x3041, 0x33FF},   {0x3400, 0x4DBF},
     {0x4E00, 0x9FFF}, {0xA000, 0xA4CF}, {0xA960, 0xA97F}, {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},
     {0xFE30, 0xFE6F}, {0xFF01, 0xFF60}, {0xFFE0, 0xFFE6}, {0x1F300, 0x1FAFF}, {0x20000, 0x3FFFD}}};
// Combining marks of the common scripts, zero-width joiners and variation selectors.
constexpr std::array<Range, 12> zero{{{0x0300, 0x036F},
                                      {0x0483, 0x0489},
                                      {0x0591, 0x05BD},
                                      {0x0610, 0x061A},
                                      {0x064B, 0x065F},
                                      {0x0E34, 0x0E3A},
                                      {0x1AB0, 0x1AFF},
                                      {0x1DC0, 0x1DFF},
                                      {0x200B, 0x200F},
                                      {0x20D0, 0x20FF},
                                      {0xFE00, 0xFE0F},
                                      {0xFE20, 0xFE2F}}};

template <std::size_t N>
bool contains(const std::array<Range, N>& ranges, char32_t c) {
  return std::any_of(ranges.begin(), ranges.end(), [c](Range r) { return r.first <= c && c <= r.last; });
}

}  // namespace

std::int64_t display_width(std::string_view text) {
  std::int64_t width = 0;
  for (std::size_t i = 0; i < text.size();) {
    const char32_t c = next_code_point(text, i);
    if (c == invalid_code_point)
      ++width;
    else if (!is_control(c) && !contains(zero, c))
      width += contains(wide, c) ? 2 : 1;
  }
  return width;
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t begin = i;
    const char32_t c = next_code_point(text, i);
    if (c == invalid_code_point)
      out += "\xEF\xBF\xBD";  // U+FFFD, the replacement character
    else if (is_control(c))
      out += ' ';
    else
      out += text.substr(begin, i - begin);
  }
  return out;
}

TextTable::TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {
  for (Column& column : columns_) column.heading = printable(column.heading);
}

void TextTable::add_row(std::vector<std::string> cells) {
  if (cells.size() != columns_.size())
    throw ShapeError(fmt::format("TextTable: row has {} cells, expected {}", cells.size(), columns_.size()));
  for (std::string& cell : cells) cell = printable(cell);
  rows_.push_back(std::move(cells));
}

std::string TextTable::str() const {
  std::vector<std::int64_t> width;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    width.push_back(display_width(columns_[c].heading));
    for (const auto& row : rows_) width[c] = std::max(width[c], display_width(row[c]));
  }
  std::string out;
  const auto line = [&](const auto& cell_of) {
    std::string text;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const std::string cell = cell_of(c);
      const std::string space(static_cast<std::size_t>(width[c] - display_width(cell)), ' ');
      if (c > 0) text += "  ";
      text += columns_[c].align == Align::left ? cell + space : space + cell;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + '\n';
  };
  line([&](std::size_t c) { return columns_[c].heading; });
  line([&](std::size_t c) { return std::string(static_cast<std::size_t>(width[c]), '-'); });
  for (const auto& row : rows_) line([&](std::size_t c) { return row[c]; });
  return out;
}

std::string format_number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return fmt::format("{:.6g}", value);
}

}  // namespace emshap::report
