// Stands in for players_file.cpp in builds without toml++.
#include "emshap/core/error.h"
#include "emshap/explain/players.h"

namespace emshap {

Players Players::from_file(const std::filesystem::path&, const std::vector<std::string>&,
                           const std::vector<bool>&) {
  throw Error(ErrorKind::environment, "reading groups: built without toml++, install it and build again");
}

}  // namespace emshap
