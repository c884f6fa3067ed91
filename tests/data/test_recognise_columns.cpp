#include <doctest/doctest.h>

#include "emshap/data/source.h"

using namespace emshap;
using Names = std::vector<std::string>;

TEST_CASE("time and node_id are recognised by their names") {
  ColumnSelection selection;
  CHECK(recognise_columns(selection, {"time", "node_id", "cpu", "watts"}) == Names{"time", "node_id"});
  CHECK(selection.time == "time");
  CHECK(selection.node_id == "node_id");
  ColumnSelection stamped;
  CHECK(recognise_columns(stamped, {"timestamp", "cpu"}) == Names{"timestamp"});
  CHECK(stamped.node_id.empty());
  ColumnSelection none;
  CHECK(recognise_columns(none, {"Time", "node", "cpu"}).empty());
}

TEST_CASE("what the user says about a column stands") {
  const Names header{"time", "timestamp", "node_id", "cpu"};
  ColumnSelection given;
  given.time = "timestamp";
  given.group = "node_id";
  CHECK(recognise_columns(given, header).empty());
  CHECK(given.time == "timestamp");
  CHECK(given.node_id.empty());
  ColumnSelection features;
  features.features = {"time", "cpu"};
  features.target = "node_id";
  CHECK(recognise_columns(features, header) == Names{"timestamp"});
  ColumnSelection excluded;
  excluded.exclude = {"time", "timestamp", "node_id"};
  CHECK(recognise_columns(excluded, header).empty());
}
