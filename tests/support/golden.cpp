#include "support/golden.h"

#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "emshap/core/error.h"

namespace emshap::test {

// A comment line, then per tensor "tensor NAME EXTENT ..." and its values, separated by white space.
Golden::Golden(const std::string& name) : file_(std::string(EMSHAP_TEST_DIR) + "/golden/" + name + ".txt") {
  std::ifstream in(file_);
  if (!in) throw IoError(fmt::format("{} cannot be opened; make it with tests/golden/make_golden.py", file_));
  std::getline(in, header_);
  if (!header_.starts_with("# ")) throw IoError(fmt::format("{} does not start with a comment line", file_));
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string keyword, entry_name;
    words >> keyword >> entry_name;
    if (keyword != "tensor") throw IoError(fmt::format("{}: '{}' where a tensor was expected", file_, line));
    std::vector<std::int64_t> extents;
    for (std::int64_t e = 0; words >> e;) extents.push_back(e);
    Entry entry;
    switch (extents.size()) {
      case 0:
        entry.shape = Shape{};
        break;
      case 1:
        entry.shape = Shape{extents[0]};
        break;
      case 2:
        entry.shape = Shape{extents[0], extents[1]};
        break;
      default:
        throw IoError(fmt::format("{}: {} has {} extents", file_, entry_name, extents.size()));
    }
    for (std::int64_t i = 0; i < entry.shape.elements(); ++i) {
      double value = 0;
      if (!(in >> value)) throw IoError(fmt::format("{}: {} ends after {} values", file_, entry_name, i));
      entry.values.push_back(value);
    }
    in >> std::ws;
    names_.push_back(entry_name);
    entries_.emplace(entry_name, std::move(entry));
  }
}

const Golden::Entry& Golden::operator[](const std::string& name) const {
  const auto it = entries_.find(name);
  if (it == entries_.end()) throw IoError(fmt::format("{} has no tensor '{}'", file_, name));
  return it->second;
}

}  // namespace emshap::test
