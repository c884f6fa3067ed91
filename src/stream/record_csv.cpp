#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "data/csv_values.h"
#include "emshap/core/error.h"
#include "emshap/data/source.h"
#include "stream/checks.h"
#include "stream/record_parser.h"

namespace emshap::stream {
namespace {

struct Cell {
  std::string text;
  bool quoted = false;
};

// Cuts a line after RFC 4180; blanks around cells are dropped. Returns what is wrong, or nothing. Reuses the
// cells, `count` of which are then filled.
std::string cut_cells(std::string_view line, char delimiter, std::vector<Cell>& cells, std::size_t& count) {
  const auto blank = [&](char c) { return (c == ' ' || c == '\t') && c != delimiter; };
  const auto wrong = [&](const char* what) { return fmt::format("column {}: {}", count, what); };
  count = 0;
  if (line.find('\0') != std::string_view::npos) return "there is a NUL byte, expected text";
  std::size_t at = 0;
  while (true) {
    if (count == cells.size()) cells.emplace_back();
    Cell& cell = cells[count++];
    cell.text.clear();
    while (at < line.size() && blank(line[at])) ++at;
    cell.quoted = at < line.size() && line[at] == '"';
    if (cell.quoted) {
      while (true) {
        const std::size_t end = line.find('"', at + 1);
        if (end == std::string_view::npos) return wrong("a quote is open at the end of the line");
        cell.text += line.substr(at + 1, end - at - 1);
        at = end + 1;
        if (at == line.size() || line[at] != '"') break;
        cell.text += '"';
      }
      while (at < line.size() && blank(line[at])) ++at;
      if (at < line.size() && line[at] != delimiter) return wrong("text follows a closing quote");
    } else {
      const std::size_t end = std::min(line.find(delimiter, at), line.size());
      std::string_view text = line.substr(at, end - at);
      while (!text.empty() && blank(text.back())) text.remove_suffix(1);
      cell.text = text;
      at = end;
    }
    if (at == line.size()) return {};
    ++at;  // behind the delimiter
  }
}

class CsvParser final : public RecordParser {
 public:
  CsvParser(const std::string& name, std::string_view header, const RecordOptions& options)
      : delimiter_(options.delimiter), missing_(CsvOptions().missing), checks_(options.acceptance) {
    std::size_t count = 0;
    const auto fail = [&](const std::string& what) {
      throw DataError(fmt::format("{} header: {}", name, what));
    };
    if (const std::string wrong = cut_cells(header, delimiter_, cells_, count); !wrong.empty()) fail(wrong);
    for (std::size_t i = 0; i < count; ++i) {
      const std::string& column = cells_[i].text;
      if (column.empty()) fail(fmt::format("column {} has no name", i + 1));
      if (!valid_utf8(column)) fail(fmt::format("the name of column {} is not UTF-8", i + 1));
      if (std::find(names_.begin(), names_.end(), column) != names_.end())
        fail(fmt::format("two columns have the name '{}'", column));
      names_.push_back(column);
    }
    const auto index = [&](const std::string& column) {
      return static_cast<std::size_t>(std::find(names_.begin(), names_.end(), column) - names_.begin());
    };
    time_ = index("time");
    if (time_ == count) time_ = index("timestamp");
    node_ = index("node_id");
    if (time_ == count) fail("there is no column 'time'" + suggest_name("time", names_));
    if (node_ == count) fail("there is no column 'node_id'" + suggest_name("node_id", names_));
    for (std::size_t i = 0; i < count; ++i) {
      const auto metric =
          std::find(metric_names.begin(), metric_names.end(), names_[i]) - metric_names.begin();
      role_.push_back(names_[i] == "power_consumption" ? target : static_cast<std::size_t>(metric));
    }
  }

  void parse(std::string_view bytes, std::int64_t offset, std::int64_t now, Batch& batch) override {
    Sample& sample = batch.samples.emplace_back();
    sample.offset = offset;
    std::string wrong = read(bytes, sample);
    if (wrong.empty()) return checks_.settle(measured(sample), extra_, bytes, now, batch);
    batch.samples.pop_back();
    Checks::reject(0, offset, Reason::not_a_message, std::move(wrong), bytes, batch);
  }
  const Presence& presence() const override { return checks_.presence(); }

 private:
  static constexpr std::size_t target = metric_count + 1;  // metric_count: a further column

  bool missing(const std::string& text) const {
    return std::find(missing_.begin(), missing_.end(), text) != missing_.end();
  }

  // Returns what is wrong, or nothing.
  std::string read(std::string_view line, Sample& sample) {
    std::size_t count = 0;
    if (std::string wrong = cut_cells(line, delimiter_, cells_, count); !wrong.empty()) return wrong;
    if (count != names_.size())
      return fmt::format("the line has {} cells, expected {} as in the header", count, names_.size());
    sample.metrics.fill(not_measured);
    extra_.clear();
    for (std::size_t i = 0; i < count; ++i) {
      const Cell& cell = cells_[i];
      if (i == node_) {
        if (!valid_utf8(cell.text)) return "node_id is not UTF-8";
        if (cell.quoted || !missing(cell.text)) sample.node_id = cell.text;
        continue;
      }
      if (missing(cell.text)) continue;
      if (i == time_) {
        if (!read_seconds(cell.text, sample.time))
          return fmt::format("{}: '{}' is not a time", names_[i], shown(cell.text));
        continue;
      }
      float value = 0;
      const CellError error = parse_float(cell.text, value);
      if (error == CellError::infinite || error == CellError::overflow)
        value = cell.text[0] == '-' ? -std::numeric_limits<float>::infinity()
                                    : std::numeric_limits<float>::infinity();
      if (role_[i] == metric_count) {
        if (error != CellError::syntax) extra_.push_back({names_[i], value});
        continue;
      }
      if (error == CellError::syntax)
        return fmt::format("{}: '{}' is not a number", names_[i], shown(cell.text));
      (role_[i] == target ? sample.power_consumption : sample.metrics[role_[i]]) = value;
    }
    return {};
  }

  char delimiter_;
  std::vector<std::string> missing_, names_;
  std::vector<std::size_t> role_;
  std::size_t time_ = 0, node_ = 0;
  std::vector<Cell> cells_;
  std::vector<ExtraValue> extra_;
  Checks checks_;
};

}  // namespace

bool read_seconds(std::string_view text, std::int64_t& seconds) {
  constexpr std::int64_t micro = 1'000'000;
  TimeForm form = TimeForm::unknown;
  if (!parse_time(text, form, seconds)) return false;
  if (form != TimeForm::integer) seconds = seconds / micro - (seconds % micro < 0 ? 1 : 0);
  return true;
}

std::string shown(std::string_view text) {
  std::string out(text.substr(0, 40));
  for (char& c : out)
    if (c < 32 || c > 126) c = '?';
  return text.size() > 40 ? out + "..." : out;
}

std::unique_ptr<RecordParser> csv_parser(const std::string& name, std::string_view header,
                                         const RecordOptions& options) {
  return std::make_unique<CsvParser>(name, header, options);
}

}  // namespace emshap::stream
