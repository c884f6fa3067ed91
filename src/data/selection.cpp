// Which columns of a source are read, and what to say about names that do not exist.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>

#include "emshap/core/error.h"
#include "emshap/data/source.h"

namespace emshap {
namespace {

// Edits (insert, delete, replace) between two names without regard to case; Levenshtein 1966.
std::size_t distance(const std::string& a, const std::string& b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string suggest_name(const std::string& name, const std::vector<std::string>& known) {
  constexpr std::size_t longest = 200;  // names beyond are not compared
  std::vector<std::pair<std::size_t, std::string>> near;
  if (name.size() <= longest)
    for (const std::string& k : known) {
      if (k.size() > longest) continue;
      const std::size_t edits = distance(name, k);
      const bool part = name.size() >= 3 && k.find(name) != std::string::npos;
      if (edits <= std::max<std::size_t>(1, name.size() / 3) || part) near.emplace_back(edits, k);
    }
  std::stable_sort(near.begin(), near.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string text;
  if (!near.empty()) {
    for (std::size_t i = 0; i < near.size() && i < 3; ++i)
      text += fmt::format("{}'{}'", i == 0 ? ", did you mean " : " or ", near[i].second);
    return text + "?";
  }
  for (std::size_t i = 0; i < known.size() && i < 8; ++i)
    text += fmt::format("{}{}", i == 0 ? ", known: " : ", ", known[i]);
  if (known.size() > 8) text += fmt::format(" and {} more", known.size() - 8);
  return text;
}

ColumnPlan select_columns(const std::vector<std::string>& names, const ColumnSelection& selection,
                          const std::string& source) {
  std::map<std::string, std::string> uses;
  const auto use = [&](const std::string& name, const char* as) {
    if (std::find(names.begin(), names.end(), name) == names.end())
      throw DataError(
          fmt::format("{}: no column '{}' for the {}{}", source, name, as, suggest_name(name, names)));
    const auto [at, fresh] = uses.emplace(name, as);
    if (!fresh)
      throw DataError(fmt::format("{}: column '{}' is named as {} and as {}, expected one use", source, name,
                                  at->second, as));
  };
  for (const std::string& name : selection.exclude) {
    if (uses.count(name) == 0) use(name, "excluded column");
  }
  for (const std::string& name : selection.features) use(name, "feature");
  if (!selection.target.empty()) use(selection.target, "target");
  if (!selection.group.empty()) use(selection.group, "group");
  if (!selection.time.empty()) use(selection.time, "time");
  if (!selection.node_id.empty() && selection.node_id != selection.group) use(selection.node_id, "node id");

  ColumnPlan plan;
  const auto add = [&](const std::string& name, ColumnType type, ColumnRole role) {
    plan.schema.push_back({name, type, role});
    plan.source_index.push_back(std::find(names.begin(), names.end(), name) - names.begin());
  };
  for (const std::string& name : selection.features) add(name, ColumnType::f32, ColumnRole::feature);
  if (selection.features.empty())
    for (const std::string& name : names)
      if (uses.count(name) == 0) add(name, ColumnType::f32, ColumnRole::feature);
  if (plan.schema.empty())
    throw DataError(fmt::format("{}: none of the {} columns is left as a feature, expected at least one",
                                source, names.size()));
  if (!selection.target.empty()) add(selection.target, ColumnType::f32, ColumnRole::target);
  if (!selection.group.empty()) add(selection.group, ColumnType::text, ColumnRole::group);
  if (!selection.time.empty()) add(selection.time, ColumnType::i64, ColumnRole::time);
  if (!selection.node_id.empty() && selection.node_id != selection.group)
    add(selection.node_id, ColumnType::text, ColumnRole::node_id);
  return plan;
}

std::vector<std::string> recognise_columns(ColumnSelection& selection,
                                           const std::vector<std::string>& names) {
  const auto has = [](const std::vector<std::string>& list, const std::string& name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  std::vector<std::string> taken;
  const auto take = [&](std::string& role, const char* name) {
    const bool used = has(selection.features, name) || has(selection.exclude, name) ||
                      selection.target == name || selection.group == name || selection.time == name ||
                      selection.node_id == name;
    if (!role.empty() || used || !has(names, name)) return;
    role = name;
    taken.emplace_back(name);
  };
  take(selection.time, "time");
  take(selection.time, "timestamp");
  take(selection.node_id, "node_id");
  return taken;
}

}  // namespace emshap
