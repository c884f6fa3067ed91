#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/data/csv.h"

namespace emshap {
namespace {

constexpr std::size_t flush_bytes = 1 << 16;

template <class T>
void append_number(std::string& text, T value) {
  char digits[32];
  const auto result = std::to_chars(digits, digits + sizeof digits, value);
  text.append(digits, static_cast<std::size_t>(result.ptr - digits));
}

}  // namespace

struct CsvWriter::Impl {
  explicit Impl(const CsvOptions& chosen) : options(chosen) {}

  // Quotes what would otherwise be read as something else.
  void append_text(std::string_view value) {
    const auto special = [&](char c) { return c == options.delimiter || c == '"' || c == '\n' || c == '\r'; };
    const auto blank = [](char c) { return c == ' ' || c == '\t'; };
    const bool quote =
        value.empty() || blank(value.front()) || blank(value.back()) ||
        static_cast<unsigned char>(value.front()) >= 0x80 ||  // could look like a byte-order mark
        std::any_of(value.begin(), value.end(), special) ||
        std::find(options.missing.begin(), options.missing.end(), value) != options.missing.end();
    if (!quote) {
      text.append(value);
      return;
    }
    text += '"';
    for (char c : value) {
      if (c == '"') text += '"';
      text += c;
    }
    text += '"';
  }

  void start(const Table& table) {
    schema = table.schema();
    if (schema.empty()) throw DataError("csv writer: the table has no columns, expected at least one");
    // A row of one empty cell would be a blank line.
    const auto usable = [&](const std::string& token) { return !token.empty() || schema.size() > 1; };
    const auto token = std::find_if(options.missing.begin(), options.missing.end(), usable);
    has_missing_token = token != options.missing.end();
    if (has_missing_token) missing_token = *token;
    for (std::size_t i = 0; i < schema.size(); ++i) {
      if (i > 0) text += options.delimiter;
      append_text(schema[i].name);
    }
    text += '\n';
  }

  void append_cell(const Column& column, std::int64_t row) {
    if (!column.present(row)) {
      if (!has_missing_token)
        throw DataError(
            fmt::format("csv writer: column '{}' has a missing cell, expected a token for it in the options",
                        column.name()));
      text += missing_token;
      return;
    }
    const auto r = static_cast<std::size_t>(row);
    switch (column.type()) {
      case ColumnType::f32:
        return append_number(text, column.f32()[r]);
      case ColumnType::i64:
        return append_number(text, column.i64()[r]);
      case ColumnType::text:
        return append_text(column.text(row));
    }
  }

  void flush() {
    sink(text);
    text.clear();
  }

  CsvOptions options;
  std::unique_ptr<AtomicFile> file;
  std::function<void(std::string_view)> sink;
  std::vector<ColumnSpec> schema;
  std::string missing_token;
  bool has_missing_token = false;
  std::string text;
};

CsvWriter::CsvWriter(const std::filesystem::path& path, const CsvOptions& options)
    : impl_(std::make_unique<Impl>(options)) {
  impl_->file = std::make_unique<AtomicFile>(path);
  impl_->sink = [file = impl_->file.get()](std::string_view text) { file->write(text); };
}
CsvWriter::CsvWriter(std::function<void(std::string_view)> sink, const CsvOptions& options)
    : impl_(std::make_unique<Impl>(options)) {
  impl_->sink = std::move(sink);
}
CsvWriter::~CsvWriter() = default;
CsvWriter::CsvWriter(CsvWriter&&) noexcept = default;

void CsvWriter::write(const Table& table) {
  Impl& w = *impl_;
  if (w.schema.empty()) {
    w.start(table);
  } else if (w.schema != table.schema()) {
    throw DataError(fmt::format(
        "csv writer: a table of {} columns has other names, types or roles than the first one of {}",
        table.columns().size(), w.schema.size()));
  }
  for (std::int64_t r = 0; r < table.rows(); ++r) {
    for (std::size_t c = 0; c < w.schema.size(); ++c) {
      if (c > 0) w.text += w.options.delimiter;
      w.append_cell(table.columns()[c], r);
    }
    w.text += '\n';
    if (w.text.size() >= flush_bytes) w.flush();
  }
  w.flush();
}

void CsvWriter::commit() {
  if (impl_->file) impl_->file->commit();
}

void write_csv(const std::filesystem::path& path, const Table& table, const CsvOptions& options) {
  CsvWriter writer(path, options);
  writer.write(table);
  writer.commit();
}

}  // namespace emshap
