#pragma once
// What emshap_datagen says it has published.
#include <cstdint>
#include <map>
#include <sstream>
#include <string>
#include <utility>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "stream/child.h"
#include "stream/cluster.h"

namespace emshap::test {

struct Acknowledged {
  std::string hash, kind;  ///< kind: "good" or the reason of refusal
};
/// By (partition, offset).
using Acknowledgements = std::map<std::pair<std::int32_t, std::int64_t>, Acknowledged>;

/// Adds the lines of a file of --acknowledged; no offset may be given twice.
inline void add_acknowledged(const std::filesystem::path& file, Acknowledgements& all) {
  std::istringstream in(read_file(file));
  std::string line;
  std::getline(in, line);
  REQUIRE(line == "partition,offset,hash,kind");
  while (std::getline(in, line)) {
    std::istringstream cells(line);
    std::string partition, offset;
    Acknowledged one;
    std::getline(cells, partition, ',');
    std::getline(cells, offset, ',');
    std::getline(cells, one.hash, ',');
    std::getline(cells, one.kind);
    const bool fresh = all.emplace(std::pair(std::stoi(partition), std::stoll(offset)), one).second;
    if (!fresh) FAIL("partition ", partition, " offset ", offset, " was acknowledged twice");
  }
}

/// emshap_datagen as a process; its reports are <name>.json and <name>.csv.
class Producer {
 public:
  Producer(const Cluster& cluster, const std::string& topic, const std::string& name,
           const std::filesystem::path& folder, std::vector<std::string> more)
      : name_(name), folder_(folder) {
    std::vector<std::string> command{app_path("emshap_datagen"),
                                     "--kafka",
                                     cluster.bootstrap(),
                                     "--topic",
                                     topic,
                                     "--report",
                                     name + ".json",
                                     "--acknowledged",
                                     name + ".csv",
                                     "--log-level",
                                     "warning"};
    command.insert(command.end(), more.begin(), more.end());
    child_ = std::make_unique<Child>(name, command, folder);
  }
  Child& child() { return *child_; }
  /// Waits for its end, which has to be a good one, and returns its report.
  nlohmann::json done(double seconds = 60) {
    const int code = child_->wait(seconds);
    INFO(child_->err());
    REQUIRE(code == 0);
    return report();
  }
  nlohmann::json report() const { return nlohmann::json::parse(read_file(folder_ / (name_ + ".json"))); }
  Acknowledgements acknowledged() const {
    Acknowledgements all;
    add_acknowledged(folder_ / (name_ + ".csv"), all);
    return all;
  }

 private:
  std::string name_;
  std::filesystem::path folder_;
  std::unique_ptr<Child> child_;
};

}  // namespace emshap::test
