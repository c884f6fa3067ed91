#include "explain_rows.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "data_location.h"
#include "emshap/core/error.h"
#include "emshap/data/split.h"
#include "emshap/report/evaluation.h"
#include "emshap/stream/open_source.h"
#include "emshap/train/power_model.h"
#include "replay.h"

namespace emshap::app {
namespace {

namespace fs = std::filesystem;

std::int64_t number(std::string_view text, const std::string& whole) {
  std::int64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size() || out < 0)
    throw ConfigError(
        fmt::format("--rows {}: '{}' is not a row number, expected e.g. 0:100 or 3,7,20:30", whole, text));
  return out;
}

bool has(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

const RunModel* entry_of(const ExplainModels& models) {
  if (!models.run) return nullptr;
  return &models.run->model(models.run->has(PowerFiles::model) ? PowerFiles::model : EmshapFiles::model);
}

/// The parts, by the file or by the run, whose data these must be.
Split split_of(const RowChoice& choice, const ExplainModels& models, const Table& table) {
  if (choice.split_file.empty() && !models.run)
    throw ConfigError("--part needs to know the parts, expected --run RUN or --split-file FILE");
  return read_split(
      choice.split_file.empty() ? models.run->verified(PowerFiles::split) : fs::path(choice.split_file),
      table);
}

std::vector<std::int64_t> rows_of_part(const Split& split, const std::string& part) {
  return part == "train" ? split.train : part == "validation" ? split.validation : split.test;
}

void check_present(const ExplainRows& data, const ExplainModels& models) {
  if (!models.density) return;
  for (const FeatureColumn& feature : models.density->space.columns()) {
    const Column& column = data.table.column(feature.name);
    if (feature.may_be_missing || column.missing() == 0) continue;
    for (const std::int64_t row : data.rows)
      if (!column.present(row))
        throw DataError(fmt::format(
            "{}: row {} (the first below the header is 0) has no {}, expected a number since no training row "
            "lacks it",
            data.table.provenance().source, data.table.source_row(row), feature.name));
  }
}

}  // namespace

std::vector<std::int64_t> parse_rows(const std::string& text, std::int64_t count) {
  std::vector<std::int64_t> out;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view item = std::string_view(text).substr(begin, end - begin);
    const std::size_t colon = item.find(':');
    if (colon == std::string_view::npos) {
      const std::int64_t row = number(item, text);
      if (row >= count)
        throw ConfigError(
            fmt::format("--rows {}: there is no row {}, expected 0 to {}", text, row, count - 1));
      out.push_back(row);
    } else {
      const std::int64_t from = colon == 0 ? 0 : number(item.substr(0, colon), text);
      const std::int64_t to =
          colon + 1 == item.size() ? count : std::min(count, number(item.substr(colon + 1), text));
      for (std::int64_t row = from; row < to; ++row) out.push_back(row);
    }
    begin = end + 1;
  }
  if (out.empty())
    throw ConfigError(fmt::format("--rows {}: no row is chosen, expected some of 0 to {}", text, count - 1));
  std::vector<std::int64_t> sorted = out;
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end())
    throw ConfigError(fmt::format("--rows {}: row {} is named twice, expected once", text, *twice));
  return out;
}

ExplainRows read_explain_rows(const RowChoice& choice, const ExplainModels& models, ProgressSink& sink) {
  const RunModel* entry = entry_of(models);
  if (choice.data.empty() && entry == nullptr)
    throw ConfigError("there is no data to explain, expected --data FILE");
  const std::string file = choice.data.empty() ? entry->data_path : choice.data;
  if (choice.data.empty() && !stream::may_be_there(file))
    throw IoError(fmt::format("{}: the data file {} of this run is not there; name it with --data",
                              models.run->folder().string(), file));
  const std::vector<std::string> header = stream::column_names(file);
  ColumnSelection selection;
  const std::string where = chosen_rows(choice.data, choice.where, entry, selection);
  select_raw(models.cleaning, models.columns, header, selection);
  // As a feature, so that rows without it stay.
  const std::string target = choice.target.empty() ? models.target : choice.target;
  const bool known =
      (has(header, target) || stream::is_extra_column(file, target)) && !has(selection.features, target);
  if (known) selection.features.push_back(target);
  if (!choice.target.empty() && !known)
    throw ConfigError(
        fmt::format("{} has no column {} to be the target, or it is one of the model's", file, target));
  recognise_columns(selection, header);

  ExplainRows out;
  out.table = read_all(*stream::open_source(file, selection, where));
  const bool of_run = entry != nullptr && out.table.provenance().data_hash == entry->data_hash;
  const bool of_part = !choice.part.empty() && choice.part != "all";
  std::optional<Split> split;
  const bool tests = choice.part.empty() && choice.rows.empty() && of_run;
  const bool cleans = !models.cleaning.empty();
  if (of_part || tests || (cleans && (of_run || !choice.split_file.empty())))
    split = split_of(choice, models, out.table);
  if (cleans && known)  // no feature to the cleaning
    out.table.columns()[selection.features.size() - 1].set_role(ColumnRole::target);
  out.table = replay(models.cleaning, std::move(out.table), split ? &*split : nullptr);
  if (of_part) {
    out.part = choice.part;
    out.rows = rows_of_part(*split, out.part);
  } else if (tests) {
    out.part = "test";
    out.rows = rows_of_part(*split, out.part);
    sink.log(LogLevel::info, fmt::format("the {} test rows of {} are explained", out.rows.size(), file));
  } else {
    out.rows = all_rows(out.table);
  }
  if (out.rows.empty()) throw DataError(fmt::format("{}: there is no row to explain", file));
  if (!choice.rows.empty()) {
    std::vector<std::int64_t> chosen;
    for (const std::int64_t i : parse_rows(choice.rows, static_cast<std::int64_t>(out.rows.size())))
      chosen.push_back(out.rows[static_cast<std::size_t>(i)]);
    out.rows = std::move(chosen);
  }
  for (const std::int64_t row : out.rows) out.numbers.push_back(out.table.source_row(row));
  check_present(out, models);
  out.raw = report::features_by_name(out.table, out.rows, models.columns);
  if (known) {
    const std::span<const float> values = out.table.column(target).f32();
    for (const std::int64_t row : out.rows) out.actual.push_back(values[static_cast<std::size_t>(row)]);
  }
  return out;
}

std::vector<ResultColumn> ExplainRows::columns() const {
  std::vector<ResultColumn> out;
  const auto row_of = [this](std::int64_t i) { return rows[static_cast<std::size_t>(i)]; };
  if (const Column* column = time())
    out.push_back({column->name(), [column, row_of](std::int64_t i) {
                     const std::int64_t row = row_of(i);
                     return column->present(row)
                                ? std::to_string(column->i64()[static_cast<std::size_t>(row)])
                                : std::string();
                   }});
  if (const Column* column = node())
    out.push_back(
        {column->name(), [column, row_of](std::int64_t i) { return std::string(column->text(row_of(i))); }});
  if (!actual.empty())
    out.push_back({"actual", [this](std::int64_t i) {
                     const float y = actual[static_cast<std::size_t>(i)];
                     return y == y ? fmt::format("{}", y) : std::string();
                   }});
  return out;
}

}  // namespace emshap::app
