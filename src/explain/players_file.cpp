#define TOML_HEADER_ONLY 1  // the library stays free of a shared object that users would have to install
#include <toml++/toml.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/explain/players.h"

namespace emshap {
namespace {

struct Placed {
  toml::source_position place;
  Players::Group group;
};

toml::table parse(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file.is_open() || file.bad())
    throw IoError(fmt::format("{}: the groups cannot be read", path.string()));
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& e) {
    throw ConfigError(fmt::format("{}, line {}: {}", path.string(), e.source().begin.line, e.description()));
  }
}

}  // namespace

Players Players::from_file(const std::filesystem::path& path, const std::vector<std::string>& columns,
                           const std::vector<bool>& modelled) {
  const toml::table root = parse(path);
  std::vector<Placed> placed;
  for (const auto& [key, node] : root) {
    Placed p{key.source().begin, {std::string(key.str()), {}}};
    const toml::array* const list = node.as_array();
    const auto fail = [&] {
      throw ConfigError(
          fmt::format("{}, line {}: group '{}' is not a list of column names, expected [\"column\", "
                      "...]",
                      path.string(), p.place.line, p.group.first));
    };
    if (list == nullptr) fail();
    for (const toml::node& column : *list) {
      const auto name = column.value_exact<std::string>();
      if (!name) fail();
      p.group.second.push_back(*name);
    }
    placed.push_back(std::move(p));
  }
  // toml++ sorts tables by name; people look for the order in which they wrote.
  std::stable_sort(placed.begin(), placed.end(),
                   [](const Placed& a, const Placed& b) { return a.place < b.place; });
  std::vector<Group> groups;
  for (Placed& p : placed) groups.push_back(std::move(p.group));
  try {
    return from_groups(groups, columns, modelled);
  } catch (const ConfigError& e) {
    throw ConfigError(fmt::format("{}: {}", path.string(), e.what()));
  }
}

}  // namespace emshap
