#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "emshap/core/error.h"
#include "emshap/explain/players.h"
#include "support/compare.h"

using namespace emshap;

namespace {

using Names = std::vector<std::string>;
using Columns = std::vector<std::vector<std::int64_t>>;

/// A file that is removed at the end.
struct GroupFile {
  std::filesystem::path path = std::filesystem::path(EMSHAP_BINARY_DIR) / "test_groups.toml";
  explicit GroupFile(const std::string& text) { std::ofstream(path) << text; }
  ~GroupFile() { std::filesystem::remove(path); }
};

}  // namespace

TEST_SUITE("players") {
  TEST_CASE("columns as players, without those that are never unknown") {
    const Players all = Players::single({"a", "b", "c"});
    CHECK(all.names == Names{"a", "b", "c"});
    CHECK(all.columns == Columns{{0}, {1}, {2}});
    CHECK(all.inputs == 3);
    const Players some = Players::single({"a", "b", "c"}, {true, false, true});
    CHECK(some.names == Names{"a", "c"});
    CHECK(some.columns == Columns{{0}, {2}});
    CHECK(Players::single({}).size() == 0);
    CHECK_THROWS_AS(Players::single({"a"}, {true, true}), ShapeError);
    CHECK_THROWS_AS(Players::single({"a", "a"}), ConfigError);
  }

  TEST_CASE("groups, then the columns that no group names") {
    const Players p = Players::from_groups({{"last", {"d", "b"}}, {"first", {"a"}}},
                                           {"a", "b", "c", "d", "e"}, {true, true, true, true, false});
    CHECK(p.names == Names{"last", "first", "c"});
    CHECK(p.columns == Columns{{1, 3}, {0}, {2}});
    CHECK(p.inputs == 5);
    // A group of columns that are always known is no player.
    CHECK(Players::from_groups({{"g", {"a"}}}, {"a", "b"}, {false, true}).names == Names{"b"});
  }

  TEST_CASE("groups that do not fit are refused by name") {
    const Names columns{"a", "b"};
    const auto make = [&](const std::vector<Players::Group>& groups) {
      Players::from_groups(groups, columns);
    };
    CHECK_THROWS_WITH_AS(make({{"g", {"x"}}}),
                         "groups: group 'g' names the column 'x', which is not a feature of the model",
                         ConfigError);
    CHECK_THROWS_WITH_AS(make({{"g", {"a"}}, {"h", {"a"}}}),
                         "groups: column 'a' is in group 'g' and in group 'h', expected one group",
                         ConfigError);
    CHECK_THROWS_AS(make({{"g", {"a", "a"}}}), ConfigError);
    CHECK_THROWS_WITH_AS(make({{"g", {}}}), "groups: group 'g' is empty, expected at least one column",
                         ConfigError);
    CHECK_THROWS_WITH_AS(make({{"g", {"a"}}, {"g", {"b"}}}),
                         "groups: the name 'g' is used twice, expected one group a name", ConfigError);
    CHECK_THROWS_WITH_AS(make({{"b", {"a"}}}),
                         "groups: 'b' names a group and a column outside it, expected another name",
                         ConfigError);
  }

  TEST_CASE("a file of groups keeps its order") {
    const Names columns{"cpu", "cpu2", "mem", "net", "disk"};
    {
      const GroupFile file("# parts\n\"work load\" = [\"mem\", \"cpu\"]\nanything = [\n  \"net\",\n]\n");
      const Players p = Players::from_file(file.path, columns);
      CHECK(p.names == Names{"work load", "anything", "cpu2", "disk"});
      CHECK(p.columns == Columns{{0, 2}, {3}, {1}, {4}});
    }
    const auto refused = [&](const std::string& text, const std::string& part) {
      const GroupFile file(text);
      try {
        Players::from_file(file.path, columns);
        FAIL("not refused: " << text);
      } catch (const ConfigError& e) {
        CAPTURE(std::string(e.what()));
        CHECK(std::string(e.what()).find(part) != std::string::npos);
        CHECK(std::string(e.what()).find(file.path.string()) == 0);
      }
    };
    refused("a = \"cpu\"\n", "line 1: group 'a' is not a list of column names");
    refused("\na = [1]\n", "line 2: group 'a' is not a list of column names");
    refused("a = [\"cpu\"]\na = [\"mem\"]\n", "line 2");
    refused("a = [\"cpu\"\n", "line");
    refused("[a]\nb = [\"cpu\"]\n", "group 'a' is not a list");
    refused("a = [\"CPU\"]\n", "group 'a' names the column 'CPU'");
    CHECK_THROWS_AS(Players::from_file("no/such/file.toml", columns), IoError);
    const GroupFile empty("");
    CHECK(Players::from_file(empty.path, columns).names == columns);
  }

  TEST_CASE("lags of a metric are one player") {
    const Players p = Players::by_lag({"cpu_lag2", "mem", "cpu_lag1", "cpu", "net_lag_1", "net_lag_12",
                                       "disk_lag3", "_lag1", "flag7", "x_lagged"});
    CHECK(p.names == Names{"cpu", "mem", "net", "disk_lag3", "_lag1", "flag7", "x_lagged"});
    CHECK(p.columns == Columns{{0, 2, 3}, {1}, {4, 5}, {6}, {7}, {8}, {9}});
    const Players some = Players::by_lag({"cpu", "cpu_lag1", "cpu_lag2"}, {true, false, true});
    CHECK(some.columns == Columns{{0, 2}});
    CHECK(some.inputs == 3);
  }

  TEST_CASE("columns of a metric are one player, by its name") {
    const Names columns{"cpu", "mem", "hour", "cpu_lag1", "cpu_std5", "weekend"},
        metrics{"cpu", "mem", "time", "cpu", "cpu", "time"};
    const Players p = Players::by_metric(columns, metrics);
    CHECK(p.names == Names{"cpu", "mem", "time"});
    CHECK(p.columns == Columns{{0, 3, 4}, {1}, {2, 5}});
    const Players some = Players::by_metric(columns, metrics, {false, true, true, true, false, false});
    CHECK(some.names == Names{"mem", "time", "cpu"});
    CHECK(some.columns == Columns{{1}, {2}, {3}});
    CHECK_THROWS_AS(Players::by_metric(columns, {"cpu"}), ShapeError);
    CHECK_THROWS_AS(Players::by_metric(columns, metrics, {true}), ShapeError);
    CHECK(Players::by_metric({}, {}).size() == 0);
  }

  TEST_CASE("masks of columns from coalitions of players") {
    const Players p =
        Players::from_groups({{"g", {"a", "c"}}}, {"a", "b", "c", "d"}, {true, true, true, false});
    REQUIRE(p.size() == 2);
    const Coalitions set = Coalitions::make(2, CoalitionStrategy::exact, 4, 1);
    CHECK(test::to_doubles(p.masks(set)) ==
          std::vector<double>{0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 1, 0, 1});
    CHECK(test::to_doubles(p.masks(set, 2, 1)) == std::vector<double>{1, 0, 1, 1});
    CHECK(p.masks(set, 4, 0).rows() == 0);
    CHECK_THROWS_AS(p.masks(set, 3, 2), ShapeError);
    CHECK_THROWS_AS(Players::single({"a"}).masks(set), ShapeError);
  }
}
