#include "emshap/stream/store_source.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "data/csv_values.h"
#include "emshap/core/error.h"
#include "emshap/data/hash.h"
#include "emshap/data/host_simulator.h"

namespace emshap::stream {
namespace {

constexpr std::string_view extra_prefix = "extra.";
constexpr std::size_t time_at = 0, node_at = 1, metrics_at = 2, power_at = metrics_at + metric_count,
                      extras_at = power_at + 1;

/// The standard columns and the extra ones that the selection names.
std::vector<std::string> names_for(const ColumnSelection& s) {
  std::vector<std::string> names = store_columns();
  std::set<std::string> extras;
  const auto look_at = [&](const std::string& name) {
    if (name.size() > extra_prefix.size() && name.starts_with(extra_prefix)) extras.insert(name);
  };
  for (const std::string* name : {&s.target, &s.group, &s.time, &s.node_id}) look_at(*name);
  std::for_each(s.features.begin(), s.features.end(), look_at);
  names.insert(names.end(), extras.begin(), extras.end());
  return names;
}

template <class T>
void append_number(std::string& text, T value) {
  char digits[32];
  const auto result = std::to_chars(digits, digits + sizeof digits, value);
  text.append(digits, static_cast<std::size_t>(result.ptr - digits));
}

}  // namespace

std::vector<std::string> store_columns() {
  std::vector<std::string> names;
  for (const ColumnSpec& spec : host_schema()) names.push_back(spec.name);
  return names;
}

struct StoreSource::Impl {
  Impl(std::shared_ptr<FeatureStore> from, std::string name, const ColumnSelection& chosen, RowFilter rows,
       std::int64_t rows_of_block)
      : store(std::move(from)), filter(std::move(rows)), block(std::max<std::int64_t>(rows_of_block, 1)) {
    provenance.source = std::move(name);
    names = names_for(chosen);
    ColumnSelection selection = chosen;
    std::erase_if(selection.exclude, [&](const std::string& x) {  // not every row has it
      return x.starts_with(extra_prefix) && std::find(names.begin(), names.end(), x) == names.end();
    });
    plan = select_columns(names, selection, provenance.source);
    if (selection.features.empty()) leave_out_unmeasured();
    for (const std::string& column : store_columns()) hash.text(column);
    hash.word(store_columns().size());
    values.resize(names.size() - metrics_at);
    texts.resize(names.size());
  }

  float value(const Sample& s, std::size_t column) const {
    return column == power_at ? s.power_consumption : s.metrics[column - metrics_at];
  }

  void leave_out_unmeasured() {
    std::vector<std::size_t> unseen;
    for (std::size_t i = 0; i < plan.schema.size(); ++i)
      if (const auto at = static_cast<std::size_t>(plan.source_index[i]);
          plan.schema[i].role == ColumnRole::feature && at >= metrics_at && at <= power_at)
        unseen.push_back(at);
    std::int64_t rows = 0;
    store->scan(filter, block, [&](const std::vector<Sample>& some) {
      for (const Sample& s : some)
        std::erase_if(unseen, [&](std::size_t at) { return !std::isnan(value(s, at)); });
      rows += static_cast<std::int64_t>(some.size());
      return !unseen.empty();
    });
    if (rows == 0) return;
    for (const std::size_t at : unseen) {
      const auto index = std::find(plan.source_index.begin(), plan.source_index.end(), at);
      plan.schema.erase(plan.schema.begin() + (index - plan.source_index.begin()));
      plan.source_index.erase(index);
      provenance.skipped.push_back({"never measured, no feature", names[at], rows, {}});
    }
    const bool any = std::any_of(plan.schema.begin(), plan.schema.end(),
                                 [](const ColumnSpec& c) { return c.role == ColumnRole::feature; });
    if (!any)
      throw DataError(fmt::format("{}: none of the {} rows has a value of any feature, expected one",
                                  provenance.source, rows));
  }

  /// Texts of the row's cells as a CSV file has them, and the values of its numbers.
  void read_row(const Sample& s) {
    texts[time_at].clear();
    append_number(texts[time_at], s.time);
    texts[node_at] = s.node_id;
    for (std::size_t at = metrics_at; at <= power_at; ++at) values[at - metrics_at] = value(s, at);
    if (names.size() > extras_at) read_extras(s);
    for (std::size_t at = metrics_at; at < names.size(); ++at) {
      texts[at].clear();
      if (const float x = values[at - metrics_at]; !std::isnan(x)) append_number(texts[at], x);
    }
    for (std::size_t at = 0; at < extras_at; ++at) hash.text(texts[at]);
    if (!s.extra.empty()) hash.text(s.extra);
  }

  void read_extras(const Sample& s) {
    std::fill(values.begin() + static_cast<std::ptrdiff_t>(extras_at - metrics_at), values.end(),
              not_measured);
    if (s.extra.empty()) return;
    const auto all = nlohmann::json::parse(s.extra, nullptr, false);
    if (!all.is_object())
      throw DataError(fmt::format("{}: the extra metrics of {} at {} are no JSON object", provenance.source,
                                  s.node_id, s.time));
    for (std::size_t at = extras_at; at < names.size(); ++at) {
      const auto found = all.find(names[at].substr(extra_prefix.size()));
      if (found != all.end() && found->is_number()) values[at - metrics_at] = found->get<float>();
    }
  }

  void push(Column& column, std::size_t at, const Sample& s) {
    const bool is_number = at >= metrics_at;
    if (is_number && std::isnan(values[at - metrics_at])) return column.push_missing();
    switch (column.type()) {
      case ColumnType::f32:
        if (is_number) return column.push_f32(values[at - metrics_at]);
        if (at == time_at) return column.push_f32(static_cast<float>(s.time));
        throw DataError(fmt::format("{}, column '{}': '{}' is not a number, expected one in a feature",
                                    provenance.source, names[at], texts[at]));
      case ColumnType::text:
        return column.push_text(texts[at]);
      case ColumnType::i64:
        if (at == time_at) return column.push_i64(s.time);
        throw DataError(fmt::format("{}, column '{}' holds no times, expected the column time",
                                    provenance.source, names[at]));
    }
  }

  bool next(Chunk& chunk) {
    if (done) return false;
    if (chunk.table.schema() != plan.schema) chunk.table = Table(plan.schema);
    chunk.table.clear_rows();
    chunk.lines.clear();
    chunk.first_row = provenance.rows_read;
    store->read(filter, started ? &last : nullptr, block, samples);
    if (samples.empty()) {
      done = true;
      provenance.data_hash = hash.hex();
      return false;
    }
    std::vector<Column>& columns = chunk.table.columns();
    for (const Sample& s : samples) {
      read_row(s);
      for (std::size_t i = 0; i < columns.size(); ++i)
        push(columns[i], static_cast<std::size_t>(plan.source_index[i]), s);
    }
    provenance.rows_read += static_cast<std::int64_t>(samples.size());
    started = true;
    last.time = samples.back().time;
    last.node_id = samples.back().node_id;
    return true;
  }

  std::shared_ptr<FeatureStore> store;
  RowFilter filter;
  std::int64_t block;
  std::vector<std::string> names;
  ColumnPlan plan;
  Provenance provenance;
  Hash64 hash;
  std::vector<Sample> samples;
  std::vector<float> values;       ///< of the columns from metrics_at
  std::vector<std::string> texts;  ///< of all columns
  Sample last;
  bool started = false, done = false;
};

StoreSource::StoreSource(std::shared_ptr<FeatureStore> store, std::string name,
                         const ColumnSelection& selection, RowFilter filter, std::int64_t block)
    : impl_(std::make_unique<Impl>(std::move(store), std::move(name), selection, std::move(filter), block)) {}
StoreSource::~StoreSource() = default;

const std::string& StoreSource::name() const {
  return impl_->provenance.source;
}
const std::vector<ColumnSpec>& StoreSource::schema() const {
  return impl_->plan.schema;
}
bool StoreSource::next(Chunk& chunk) {
  return impl_->next(chunk);
}
const Provenance& StoreSource::provenance() const {
  return impl_->provenance;
}

}  // namespace emshap::stream
