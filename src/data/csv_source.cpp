#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <system_error>
#include <unordered_set>

#include "data/csv_scanner.h"
#include "data/csv_values.h"
#include "data/file_bytes.h"
#include "emshap/core/error.h"
#include "emshap/data/csv.h"
#include "emshap/data/hash.h"

namespace emshap {
namespace {

// What a message shows of a cell: its start, with control characters as blanks.
std::string excerpt(std::string_view cell) {
  std::string text(cell.substr(0, 40));
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 32) c = ' ';
  return cell.size() > 40 ? text + "..." : text;
}

bool valid_utf8(std::string_view s) {
  for (std::size_t i = 0; i < s.size();) {
    const auto c = static_cast<unsigned char>(s[i]);
    const std::size_t more = c < 0x80                ? 0
                             : c >= 0xC2 && c < 0xE0 ? 1
                             : c >= 0xE0 && c < 0xF0 ? 2
                             : c >= 0xF0 && c < 0xF5 ? 3
                                                     : 9;
    if (i + more >= s.size()) return false;
    std::uint32_t code = more == 0 ? c : c & (0x3F >> more);
    for (std::size_t k = 1; k <= more; ++k) {
      const auto next = static_cast<unsigned char>(s[i + k]);
      if ((next & 0xC0) != 0x80) return false;
      code = code << 6 | (next & 0x3F);
    }
    if (more == 2 && (code < 0x800 || (code >= 0xD800 && code < 0xE000))) return false;
    if (more == 3 && (code < 0x10000 || code > 0x10FFFF)) return false;
    i += more + 1;
  }
  return true;
}

std::vector<std::string> read_header(CsvScanner& scanner, Hash64& hash) {
  std::vector<CsvCell> cells;
  if (!scanner.next(cells))
    throw DataError(
        fmt::format("{} line 1: the file is empty, expected a header with column names", scanner.name()));
  std::vector<std::string> names;
  std::map<std::string_view, std::size_t> seen;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::string_view name = cells[i].text;
    const auto fail = [&](const std::string& what) {
      throw DataError(fmt::format("{} line {}, column {}: {}", scanner.name(), scanner.line(), i + 1, what));
    };
    if (name.empty()) fail("the column has no name, expected one in the header");
    if (!valid_utf8(name)) fail("the name is not UTF-8, expected a file in UTF-8");
    const auto [first, fresh] = seen.emplace(name, i);
    if (!fresh)
      fail(fmt::format("the name '{}' is that of column {} too, expected different names", excerpt(name),
                       first->second + 1));
    names.emplace_back(name);
    hash.text(name);
  }
  hash.word(names.size());
  return names;
}

}  // namespace

struct CsvSource::Impl {
  Impl(std::string name, ByteReader reader, const ColumnSelection& selection, const CsvOptions& options)
      : scanner(std::move(name), std::move(reader), options),
        chunk_bytes(options.chunk_bytes),
        rows(options.rows) {
    for (const std::string& token : options.missing) {
      missing.insert(token);
      missing_first[static_cast<unsigned char>(token.empty() ? 0 : token[0])] = true;
    }
    const std::vector<std::string> names = read_header(scanner, hash);
    width = names.size();
    const ColumnPlan plan = select_columns(names, selection, scanner.name());
    schema = plan.schema;
    column_of.assign(width, -1);
    for (std::size_t i = 0; i < schema.size(); ++i)
      column_of[static_cast<std::size_t>(plan.source_index[i])] = static_cast<int>(i);
    provenance.source = scanner.name();
    time_forms.assign(schema.size(), TimeForm::unknown);
    if (!rows.keep) return;
    test_time = index_of(names, rows.time);
    test_node = index_of(names, rows.node_id);
  }

  /// Where a column that rows are chosen by stands; -1 for none.
  std::ptrdiff_t index_of(const std::vector<std::string>& names, const std::string& name) const {
    if (name.empty()) return -1;
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end())
      throw DataError(fmt::format("{}: no column '{}' to choose rows by{}", scanner.name(), name,
                                  suggest_name(name, names)));
    return found - names.begin();
  }

  bool kept() {
    std::int64_t time = 0;
    std::string_view node;
    if (test_time >= 0) {
      const std::string_view text = cells[static_cast<std::size_t>(test_time)].text;
      if (is_missing(text)) return false;
      if (!parse_time(text, test_form, time))
        fail({rows.time, ColumnType::i64, ColumnRole::time}, text,
             fmt::format("is not a time, expected {}", describe(test_form)));
      if (test_form != TimeForm::integer) time = time / 1'000'000 - (time % 1'000'000 < 0 ? 1 : 0);
    }
    if (test_node >= 0) {
      const CsvCell& cell = cells[static_cast<std::size_t>(test_node)];
      if (!cell.quoted && is_missing(cell.text)) return false;
      node = cell.text;
    }
    return rows.keep(time, node);
  }

  bool is_missing(std::string_view text) const {
    if (!missing_first[static_cast<unsigned char>(text.empty() ? 0 : text[0])]) return false;
    return missing.find(text) != missing.end();
  }

  [[noreturn]] void fail(const ColumnSpec& spec, std::string_view text, const std::string& what) const {
    throw DataError(fmt::format("{} line {}, column '{}': '{}' {}", scanner.name(), scanner.line(), spec.name,
                                excerpt(text), what));
  }

  void read_number(Column& column, std::string_view text) const {
    if (is_missing(text)) return column.push_missing();
    float value = 0;
    const CellError error = parse_float(text, value);
    if (error == CellError::none) return column.push_f32(value);
    if (error == CellError::infinite) fail(column.spec(), text, "is infinite, expected a finite number");
    if (error == CellError::overflow)
      fail(column.spec(), text, "is beyond the range of float32, expected at most 3.4e38 in size");
    if (column.role() == ColumnRole::target)
      fail(column.spec(), text, "is not a number, expected one in the target");
    fail(column.spec(), text,
         fmt::format(
             "is not a number, expected one in a feature; leave the column out with --exclude {0} or name it "
             "as the group with --group {0}",
             column.name()));
  }

  void read_cell(Column& column, std::size_t index, const CsvCell& cell) {
    switch (column.type()) {
      case ColumnType::f32:
        return read_number(column, cell.text);
      case ColumnType::text:
        if (!cell.quoted && is_missing(cell.text)) return column.push_missing();
        return column.push_text(cell.text);
      case ColumnType::i64: {
        std::int64_t value = 0;
        if (is_missing(cell.text)) return column.push_missing();
        if (parse_time(cell.text, time_forms[index], value)) return column.push_i64(value);
        fail(column.spec(), cell.text,
             fmt::format("is not a time, expected {}", describe(time_forms[index])));
      }
    }
  }

  bool next(Chunk& chunk) {
    if (done) return false;
    if (chunk.table.schema() != schema) chunk.table = Table(schema);
    chunk.table.clear_rows();
    chunk.lines.clear();
    chunk.first_row = provenance.rows_read;
    std::vector<Column>& columns = chunk.table.columns();
    const std::int64_t stop = scanner.bytes() + static_cast<std::int64_t>(chunk_bytes);
    while (scanner.bytes() < stop || chunk.lines.empty()) {
      if (!scanner.next(cells)) {
        finish();
        break;
      }
      if (cells.size() != width)
        throw DataError(fmt::format("{} line {}: the row has {} cells, expected {} as in the header",
                                    scanner.name(), scanner.line(), cells.size(), width));
      if (rows.keep && !kept()) continue;
      for (std::size_t i = 0; i < width; ++i) {
        hash.text(cells[i].text);
        const int to = column_of[i];
        if (to >= 0) read_cell(columns[static_cast<std::size_t>(to)], static_cast<std::size_t>(to), cells[i]);
      }
      chunk.lines.push_back(scanner.line());
      ++provenance.rows_read;
    }
    return !chunk.lines.empty();
  }

  void finish() {
    done = true;
    provenance.data_hash = hash.hex();
    if (scanner.blank_line_count() > 0)
      provenance.skipped.push_back({"blank line", "", scanner.blank_line_count(), scanner.blank_lines()});
  }

  // Lets a string_view be looked up without a copy.
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
  };
  CsvScanner scanner;
  std::size_t chunk_bytes;
  CsvRowTest rows;
  std::ptrdiff_t test_time = -1, test_node = -1;
  TimeForm test_form = TimeForm::unknown;
  std::unordered_set<std::string, TextHash, std::equal_to<>> missing;
  bool missing_first[256] = {};
  Hash64 hash;
  std::size_t width = 0;
  std::vector<ColumnSpec> schema;
  std::vector<int> column_of;
  std::vector<TimeForm> time_forms;
  std::vector<CsvCell> cells;
  Provenance provenance;
  bool done = false;
};

CsvSource::CsvSource(const std::filesystem::path& path, const ColumnSelection& selection,
                     const CsvOptions& options)
    : CsvSource(path.string(), open_bytes(path, "a CSV file"), selection, options) {}
CsvSource::CsvSource(std::string name, ByteReader reader, const ColumnSelection& selection,
                     const CsvOptions& options)
    : impl_(std::make_unique<Impl>(std::move(name), std::move(reader), selection, options)) {}
CsvSource::~CsvSource() = default;
CsvSource::CsvSource(CsvSource&&) noexcept = default;

const std::string& CsvSource::name() const {
  return impl_->scanner.name();
}
const std::vector<ColumnSpec>& CsvSource::schema() const {
  return impl_->schema;
}
bool CsvSource::next(Chunk& chunk) {
  return impl_->next(chunk);
}
const Provenance& CsvSource::provenance() const {
  return impl_->provenance;
}

Table read_csv(const std::filesystem::path& path, const ColumnSelection& selection, const RowPolicy& policy,
               const CsvOptions& options) {
  CsvSource source(path, selection, options);
  return read_all(source, policy);
}

std::vector<std::string> csv_header(const std::filesystem::path& path, const CsvOptions& options) {
  CsvScanner scanner(path.string(), open_bytes(path, "a CSV file"), options);
  Hash64 ignored;
  return read_header(scanner, ignored);
}

}  // namespace emshap
