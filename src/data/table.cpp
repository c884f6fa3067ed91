#include "emshap/data/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "emshap/data/hash.h"
#include "emshap/data/source.h"

namespace emshap {

void Provenance::skip(std::string_view reason, std::string_view column, std::int64_t place,
                      std::int64_t count) {
  auto at = std::find_if(skipped.begin(), skipped.end(),
                         [&](const Skipped& s) { return s.reason == reason && s.column == column; });
  if (at == skipped.end()) at = skipped.insert(at, Skipped{std::string(reason), std::string(column), 0, {}});
  at->count += count;
  if (at->places.size() < max_places) at->places.push_back(place);
}

std::int64_t Provenance::skipped_count(std::string_view reason) const {
  std::int64_t count = 0;
  for (const Skipped& s : skipped)
    if (s.reason == reason) count += s.count;
  return count;
}

Table::Table(const std::vector<ColumnSpec>& schema) {
  std::set<std::string_view> names;
  for (const ColumnSpec& spec : schema) {
    if (!names.insert(spec.name).second)
      throw DataError(fmt::format("table: two columns are named '{}', expected different names", spec.name));
    columns_.emplace_back(spec);
  }
}

std::vector<ColumnSpec> Table::schema() const {
  std::vector<ColumnSpec> schema;
  for (const Column& c : columns_) schema.push_back(c.spec());
  return schema;
}

const Column* Table::find(std::string_view name) const {
  for (const Column& c : columns_)
    if (c.name() == name) return &c;
  return nullptr;
}

const Column& Table::column(std::string_view name) const {
  if (const Column* found = find(name)) return *found;
  std::vector<std::string> known;
  for (const Column& c : columns_) known.push_back(c.name());
  throw DataError(fmt::format("{}: no column '{}'{}",
                              provenance_.source.empty() ? "table" : provenance_.source, name,
                              suggest_name(std::string(name), known)));
}

std::vector<const Column*> Table::with_role(ColumnRole role) const {
  std::vector<const Column*> found;
  for (const Column& c : columns_)
    if (c.role() == role) found.push_back(&c);
  return found;
}

const Column* Table::only(ColumnRole role) const {
  const auto found = with_role(role);
  if (found.size() > 1)
    throw DataError(fmt::format("table: columns '{}' and '{}' both have the role {}, expected one",
                                found[0]->name(), found[1]->name(), to_string(role)));
  return found.empty() ? nullptr : found.front();
}

std::vector<std::string> Table::feature_names() const {
  std::vector<std::string> names;
  for (const Column& c : columns_)
    if (c.role() == ColumnRole::feature) names.push_back(c.name());
  return names;
}

void Table::append(const Table& other) {
  if (schema() != other.schema())
    throw DataError(fmt::format("table: cannot append {} columns to {} with other names, types or roles",
                                other.columns_.size(), columns_.size()));
  if (!source_rows_.empty() || !other.source_rows_.empty()) {
    if (source_rows_.empty())
      for (std::int64_t r = 0; r < rows(); ++r) source_rows_.push_back(r);
    for (std::int64_t r = 0; r < other.rows(); ++r)
      source_rows_.push_back(other.source_rows_.empty() ? rows() + r : other.source_row(r));
  }
  for (std::size_t c = 0; c < columns_.size(); ++c) columns_[c].append(other.columns_[c]);
}

Table Table::select(std::span<const std::int64_t> chosen) const {
  Table result(schema());
  result.provenance_ = provenance_;
  for (std::size_t c = 0; c < columns_.size(); ++c)
    for (std::int64_t r : chosen) result.columns_[c].push_from(columns_[c], r);
  for (std::int64_t r : chosen) result.source_rows_.push_back(source_row(r));
  return result;
}

void Table::clear_rows() {
  for (Column& c : columns_) c.clear();
  source_rows_.clear();
}

std::int64_t Table::bytes() const {
  auto total = static_cast<std::int64_t>(source_rows_.size() * sizeof(std::int64_t));
  for (const Column& c : columns_) total += c.bytes();
  return total;
}

std::string Table::content_hash() const {
  Hash64 hash;
  hash.word(columns_.size());
  for (const Column& c : columns_) {
    hash.text(c.name());
    hash.word(static_cast<std::uint64_t>(c.type()));
    hash.word(static_cast<std::uint64_t>(c.size()));
    for (std::int64_t r = 0; r < c.size(); ++r) {
      if (!c.present(r)) {
        hash.word(0x6d697373696e67);
        continue;
      }
      const auto i = static_cast<std::size_t>(r);
      if (c.type() == ColumnType::f32) hash.number(static_cast<double>(c.f32()[i]));
      if (c.type() == ColumnType::i64) hash.word(static_cast<std::uint64_t>(c.i64()[i]));
      if (c.type() == ColumnType::text) hash.text(c.text(r));
    }
  }
  return hash.hex();
}

Table table_of(const std::vector<std::string>& columns, ConstTensorView rows) {
  if (rows.cols() != static_cast<std::int64_t>(columns.size()))
    throw DataError(
        fmt::format("the rows have {} columns, expected {} as there are names", rows.cols(), columns.size()));
  std::vector<ColumnSpec> schema;
  for (const std::string& name : columns) schema.push_back({name, ColumnType::f32, ColumnRole::feature});
  Table out(schema);
  out.provenance().source = "matrix";
  out.provenance().rows_read = rows.rows();
  for (std::size_t c = 0; c < columns.size(); ++c)
    for (std::int64_t r = 0; r < rows.rows(); ++r) {
      const float value = rows.ptr<float>()[r * rows.row_stride() + static_cast<std::int64_t>(c)];
      if (std::isinf(value))
        throw DataError(fmt::format("row {} of the matrix has {} in {}, expected a finite number or NaN", r,
                                    value, columns[c]));
      if (std::isnan(value))
        out.columns()[c].push_missing();
      else
        out.columns()[c].push_f32(value);
    }
  return out;
}

std::vector<std::int64_t> all_rows(const Table& table) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(table.rows()));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  return rows;
}

namespace {
Tensor gather(const std::vector<const Column*>& columns, std::span<const std::int64_t> rows) {
  const auto width = columns.size();
  Tensor out({static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(width)});
  float* to = out.empty() ? nullptr : out.ptr<float>();
  for (std::size_t c = 0; c < width; ++c) {
    const std::span<const float> from = columns[c]->f32();
    for (std::size_t r = 0; r < rows.size(); ++r) to[r * width + c] = from[static_cast<std::size_t>(rows[r])];
  }
  return out;
}
}  // namespace

Tensor raw_features(const Table& table, std::span<const std::int64_t> rows) {
  return gather(table.with_role(ColumnRole::feature), rows);
}

Tensor raw_target(const Table& table, std::span<const std::int64_t> rows) {
  const Column* target = table.only(ColumnRole::target);
  if (target == nullptr)
    throw DataError(
        fmt::format("{}: no target column was selected, expected one", table.provenance().source));
  return gather({target}, rows);
}

std::vector<std::int64_t> background_rows(std::span<const std::int64_t> train, std::int64_t count,
                                          std::uint64_t seed) {
  const auto order = permutation({seed, RandomPurpose::background}, static_cast<std::int64_t>(train.size()));
  std::vector<std::int64_t> rows;
  for (std::size_t i = 0; i < order.size() && static_cast<std::int64_t>(i) < count; ++i)
    rows.push_back(train[static_cast<std::size_t>(order[i])]);
  std::sort(rows.begin(), rows.end());
  return rows;
}

}  // namespace emshap
