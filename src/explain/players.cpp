#include "emshap/explain/players.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "emshap/core/error.h"

namespace emshap {
namespace {

constexpr std::int64_t nobody = -1;

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

/// "x" of "x_lag3" and "x_lag_3"; the name itself otherwise.
std::string_view without_lag(std::string_view name) {
  const std::size_t digits = name.find_last_not_of("0123456789");
  if (digits == std::string_view::npos || digits + 1 == name.size()) return name;
  std::string_view stem = name.substr(0, digits + 1);
  if (stem.back() == '_') stem.remove_suffix(1);
  constexpr std::string_view suffix = "_lag";
  if (stem.size() <= suffix.size() || !stem.ends_with(suffix)) return name;
  return stem.substr(0, stem.size() - suffix.size());
}

void check_modelled(const std::vector<std::string>& columns, const std::vector<bool>& modelled) {
  if (!modelled.empty() && modelled.size() != columns.size())
    throw ShapeError(fmt::format("players: {} columns are said to be modelled or not, expected {}",
                                 modelled.size(), columns.size()));
}

}  // namespace

Tensor Players::masks(const Coalitions& coalitions, std::int64_t begin, std::int64_t count) const {
  if (coalitions.players != size())
    throw ShapeError(
        fmt::format("players: coalitions of {} players, expected {}", coalitions.players, size()));
  if (begin < 0 || count < 0 || begin + count > coalitions.size())
    throw ShapeError(
        fmt::format("players: coalitions {} to {} of {}", begin, begin + count, coalitions.size()));
  Tensor masks({count, inputs});
  float* const m = masks.ptr<float>();
  std::fill(m, m + count * inputs, 1.f);
  for (std::int64_t c = 0; c < count; ++c)
    for (std::int64_t j = 0; j < size(); ++j)
      if (coalitions.row(begin + c)[j] == 0)
        for (const std::int64_t d : columns[at(j)]) m[c * inputs + d] = 0;
  return masks;
}

Players Players::single(const std::vector<std::string>& columns, const std::vector<bool>& modelled) {
  return from_groups({}, columns, modelled);
}

Players Players::from_groups(const std::vector<Group>& groups, const std::vector<std::string>& columns,
                             const std::vector<bool>& modelled) {
  check_modelled(columns, modelled);
  const auto inputs = static_cast<std::int64_t>(columns.size());
  const auto players = static_cast<std::int64_t>(groups.size());
  std::unordered_map<std::string, std::int64_t> number;
  for (std::int64_t d = 0; d < inputs; ++d) number.emplace(columns[at(d)], d);
  std::vector<std::int64_t> owner(at(inputs), nobody);
  std::unordered_set<std::string> used;
  for (std::int64_t g = 0; g < players; ++g) {
    const auto& [name, members] = groups[at(g)];
    if (!used.insert(name).second)
      throw ConfigError(fmt::format("groups: the name '{}' is used twice, expected one group a name", name));
    if (members.empty())
      throw ConfigError(fmt::format("groups: group '{}' is empty, expected at least one column", name));
    for (const std::string& column : members) {
      const auto it = number.find(column);
      if (it == number.end())
        throw ConfigError(
            fmt::format("groups: group '{}' names the column '{}', which is not a feature of the "
                        "model",
                        name, column));
      std::int64_t& its = owner[at(it->second)];
      if (its != nobody)
        throw ConfigError(
            fmt::format("groups: column '{}' is in group '{}' and in group '{}', expected one group", column,
                        groups[at(its)].first, name));
      its = g;
    }
  }
  Players out;
  out.inputs = inputs;
  std::vector<std::vector<std::int64_t>> of_group(groups.size());
  const auto is_modelled = [&](std::int64_t d) { return modelled.empty() || modelled[at(d)]; };
  for (std::int64_t d = 0; d < inputs; ++d)
    if (owner[at(d)] != nobody && is_modelled(d)) of_group[at(owner[at(d)])].push_back(d);
  for (std::int64_t g = 0; g < players; ++g) {
    if (of_group[at(g)].empty()) continue;
    out.names.push_back(groups[at(g)].first);
    out.columns.push_back(std::move(of_group[at(g)]));
  }
  for (std::int64_t d = 0; d < inputs; ++d) {
    if (owner[at(d)] != nobody || !is_modelled(d)) continue;
    if (!used.insert(columns[at(d)]).second)
      throw ConfigError(fmt::format(
          "groups: '{}' names a group and a column outside it, expected another name", columns[at(d)]));
    out.names.push_back(columns[at(d)]);
    out.columns.push_back({d});
  }
  return out;
}

namespace {

/// The modelled columns by `stem_of` their numbers, groups in order of their first column.
template <class Stem>
std::vector<Players::Group> grouped(const std::vector<std::string>& columns,
                                    const std::vector<bool>& modelled, const Stem& stem_of) {
  check_modelled(columns, modelled);
  std::vector<Players::Group> groups;
  std::unordered_map<std::string, std::size_t> number;
  for (std::size_t d = 0; d < columns.size(); ++d) {
    if (!modelled.empty() && !modelled[d]) continue;
    const auto [it, added] = number.emplace(stem_of(d), groups.size());
    if (added) groups.push_back({it->first, {}});
    groups[it->second].second.push_back(columns[d]);
  }
  return groups;
}

}  // namespace

Players Players::by_metric(const std::vector<std::string>& columns, const std::vector<std::string>& metrics,
                           const std::vector<bool>& modelled) {
  if (metrics.size() != columns.size())
    throw ShapeError(
        fmt::format("players: {} metrics of columns, expected {}", metrics.size(), columns.size()));
  return from_groups(grouped(columns, modelled, [&](std::size_t d) { return metrics[d]; }), columns,
                     modelled);
}

Players Players::by_lag(const std::vector<std::string>& columns, const std::vector<bool>& modelled) {
  std::vector<Group> groups =
      grouped(columns, modelled, [&](std::size_t d) { return std::string(without_lag(columns[d])); });
  for (auto& [name, members] : groups)
    if (members.size() == 1) name = members.front();
  return from_groups(groups, columns, modelled);
}

}  // namespace emshap
