#include "emshap/data/split.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <string_view>

#include "data/group_parts.h"
#include "emshap/core/error.h"
#include "emshap/core/random.h"

namespace emshap {
namespace {

using Rows = std::vector<std::int64_t>;
constexpr std::array<const char*, 3> part_names{"train", "validation", "test"};

// Rows that each part should get: validation and test rounded, training the rest.
std::array<std::int64_t, 3> wanted(const SplitOptions& options, std::int64_t rows) {
  const auto share = [&](double fraction) {
    return static_cast<std::int64_t>(std::llround(fraction * static_cast<double>(rows)));
  };
  const std::int64_t test = share(options.test);
  const std::int64_t validation = std::min(share(options.validation), rows - test);
  return {rows - validation - test, validation, test};
}

void check_fractions(const SplitOptions& options) {
  for (const double f : {options.train, options.validation, options.test})
    if (!(f >= 0 && f <= 1)) throw ConfigError(fmt::format("split: a fraction is {}, expected 0 to 1", f));
  const double sum = options.train + options.validation + options.test;
  if (!(std::abs(sum - 1) < 1e-9))
    throw ConfigError(fmt::format("split: the fractions {}, {} and {} sum to {}, expected 1", options.train,
                                  options.validation, options.test, sum));
}

const Column& column_for(const Table& table, ColumnRole role, const char* mode) {
  const Column* column = table.only(role);
  if (column == nullptr)
    throw DataError(fmt::format("{}: a split by {} needs a {} column, none was named",
                                table.provenance().source, mode, to_string(role)));
  for (std::int64_t r = 0; column->missing() > 0 && r < column->size(); ++r)
    if (!column->present(r))
      throw DataError(fmt::format(
          "{}: column '{}' misses {} values, the first in data row {}, expected none for a split by {}",
          table.provenance().source, column->name(), column->missing(), table.source_row(r) + 1, mode));
  return *column;
}

std::array<Rows, 3> by_row(const SplitOptions& options, std::int64_t rows) {
  const auto order = permutation({options.seed, RandomPurpose::split}, rows);
  const auto count = wanted(options, rows);
  std::array<Rows, 3> parts;
  auto from = order.begin();
  for (std::size_t p = 0; p < 3; ++p) {
    parts[p].assign(from, from + count[p]);
    from += count[p];
  }
  return parts;
}

std::array<Rows, 3> by_time(const SplitOptions& options, const Column& time) {
  const std::int64_t rows = time.size();
  const auto at = time.i64();
  Rows order(static_cast<std::size_t>(rows));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return at[static_cast<std::size_t>(a)] < at[static_cast<std::size_t>(b)];
  });
  const auto time_of = [&](std::int64_t i) {
    return at[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])];
  };
  // The nearest place to `cut` where the time changes.
  const auto settle = [&](std::int64_t cut) {
    const auto inside = [&](std::int64_t i) { return i > 0 && i < rows && time_of(i - 1) == time_of(i); };
    std::int64_t low = cut, high = cut;
    while (inside(low)) --low;
    while (inside(high)) ++high;
    return cut - low <= high - cut ? low : high;
  };
  const auto count = wanted(options, rows);
  const std::int64_t first = settle(count[0]);
  const std::int64_t second = std::max(first, settle(count[0] + count[1]));
  std::array<Rows, 3> parts;
  parts[0].assign(order.begin(), order.begin() + first);
  parts[1].assign(order.begin() + first, order.begin() + second);
  parts[2].assign(order.begin() + second, order.end());
  return parts;
}

std::array<Rows, 3> by_group(const SplitOptions& options, const Table& table, const Column& group) {
  std::vector<Rows> groups;
  std::map<std::string_view, std::size_t> number;
  for (std::int64_t r = 0; r < group.size(); ++r) {
    const auto [at, fresh] = number.emplace(group.text(r), groups.size());
    if (fresh) groups.emplace_back();
    groups[at->second].push_back(r);
  }
  const std::array<double, 3> fractions{options.train, options.validation, options.test};
  const auto parts_wanted = static_cast<std::size_t>(
      std::count_if(fractions.begin(), fractions.end(), [](double f) { return f > 0; }));
  if (groups.size() < parts_wanted)
    throw DataError(
        fmt::format("{}: column '{}' has {} groups, expected at least {}, one for each part of the split",
                    table.provenance().source, group.name(), groups.size(), parts_wanted));
  std::vector<std::int64_t> sizes;
  for (const Rows& rows : groups) sizes.push_back(static_cast<std::int64_t>(rows.size()));
  const std::vector<std::size_t> part_of = assign_groups(sizes, fractions, options.seed);
  std::array<Rows, 3> parts;
  for (std::size_t g = 0; g < groups.size(); ++g)
    parts[part_of[g]].insert(parts[part_of[g]].end(), groups[g].begin(), groups[g].end());
  return parts;
}

}  // namespace

SplitMode parse_split_mode(const std::string& text) {
  for (const SplitMode mode : {SplitMode::row, SplitMode::time, SplitMode::group})
    if (text == to_string(mode)) return mode;
  throw ConfigError(fmt::format("split '{}' is not known, expected row, time or group", text));
}

const char* to_string(SplitMode mode) {
  switch (mode) {
    case SplitMode::row:
      return "row";
    case SplitMode::time:
      return "time";
    case SplitMode::group:
      return "group";
  }
  return "?";
}

std::vector<std::int32_t> parts_of(const Split& split, std::int64_t rows) {
  std::vector<std::int32_t> parts(static_cast<std::size_t>(rows), 3);
  std::int32_t number = 0;
  for (const Rows* part : {&split.train, &split.validation, &split.test}) {
    for (const std::int64_t r : *part) parts.at(static_cast<std::size_t>(r)) = number;
    ++number;
  }
  return parts;
}

Split make_split(const Table& table, const SplitOptions& options) {
  check_fractions(options);
  if (table.rows() == 0)
    throw DataError(fmt::format("{}: there are no rows to split, expected at least one for each part",
                                table.provenance().source));
  std::array<Rows, 3> parts;
  switch (options.mode) {
    case SplitMode::row:
      parts = by_row(options, table.rows());
      break;
    case SplitMode::time:
      parts = by_time(options, column_for(table, ColumnRole::time, "time"));
      break;
    case SplitMode::group:
      parts = by_group(options, table, column_for(table, ColumnRole::group, "group"));
      break;
  }
  const std::array<double, 3> fractions{options.train, options.validation, options.test};
  for (std::size_t p = 0; p < 3; ++p) {
    if (fractions[p] > 0 && parts[p].empty())
      throw DataError(fmt::format(
          "{}: {} rows split by {} give {} for training, {} for validation and {} for test, expected "
          "at least one for {}",
          table.provenance().source, table.rows(), to_string(options.mode), parts[0].size(), parts[1].size(),
          parts[2].size(), part_names[p]));
    std::sort(parts[p].begin(), parts[p].end());
  }
  return {std::move(parts[0]), std::move(parts[1]), std::move(parts[2]), options.mode, options.seed};
}

}  // namespace emshap
