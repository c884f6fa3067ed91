// --where: what it accepts, and where it says what is wrong.
#include <doctest/doctest.h>

#include "emshap/core/error.h"
#include "emshap/stream/row_filter.h"

using namespace emshap;
using namespace emshap::stream;

namespace {

using Names = std::vector<std::string>;

std::string refusal(const std::string& text) {
  try {
    parse_row_filter(text);
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "accepted";
}

void check_refused(const std::string& text, const std::string& part) {
  const std::string got = refusal(text);
  CHECK_MESSAGE(got.find(part) != std::string::npos, "'" << text << "': " << got);
}

}  // namespace

TEST_CASE("row filter: nothing is no condition") {
  for (const char* text : {"", "  ", "\n\t"}) {
    const RowFilter f = parse_row_filter(text);
    CHECK(!f.by_time());
    CHECK(!f.by_node());
    CHECK(f.takes_time(-5));
    CHECK(f.takes_node("any"));
  }
}

TEST_CASE("row filter: times") {
  CHECK(*parse_row_filter("time >= 100").from == 100);
  CHECK(*parse_row_filter("time>100").from == 101);
  CHECK(*parse_row_filter("TIME < 100").until == 100);
  CHECK(*parse_row_filter("time<=100").until == 101);
  const RowFilter one = parse_row_filter("time = 100");
  CHECK(one.takes_time(100));
  CHECK(!one.takes_time(99));
  CHECK(!one.takes_time(101));
  CHECK(*parse_row_filter("time >= 2025-01-01").from == 1735689600);
  CHECK(*parse_row_filter("time >= 2025-01-01T00:00:01Z").from == 1735689601);
  CHECK(*parse_row_filter("time >= '2025-01-01 01:00+01:00'").from == 1735689600);
  CHECK(*parse_row_filter("time < 1969-12-31T23:59:59").until == -1);
  SUBCASE("fractions: rows have whole seconds") {
    CHECK(*parse_row_filter("time >= 10.5").from == 11);
    CHECK(*parse_row_filter("time > 10.5").from == 11);
    CHECK(*parse_row_filter("time < 10.5").until == 11);
    CHECK(*parse_row_filter("time <= 10.5").until == 11);
    CHECK(*parse_row_filter("time > -10.5").from == -10);
    CHECK(*parse_row_filter("time > 10.0").from == 11);
    check_refused("time = 10.5", "no time can meet");
  }
  SUBCASE("the narrowest wins") {
    const RowFilter f = parse_row_filter("time > 1 and time >= 5 AND time < 100 and time <= 50");
    CHECK(*f.from == 5);
    CHECK(*f.until == 51);
  }
}

TEST_CASE("row filter: nodes") {
  CHECK(parse_row_filter("node_id = web-1").nodes == Names{"web-1"});
  CHECK(parse_row_filter("node_id in (b, a,'c d', a)").nodes == Names{"a", "b", "c d"});
  CHECK(parse_row_filter("node_id = \"it's\"").nodes == Names{"it's"});
  CHECK(parse_row_filter("node_id = 'it''s'").nodes == Names{"it's"});
  CHECK(parse_row_filter("node_id = 'and'").nodes == Names{"and"});
  CHECK(parse_row_filter("node_id != a and node_id not in (c, b)").not_nodes == Names{"a", "b", "c"});
  const RowFilter f = parse_row_filter("node_id in (a, b, c) and node_id in (b, c, d) and node_id != c");
  CHECK(f.nodes == Names{"b"});
  CHECK(f.not_nodes.empty());
  CHECK(f.takes_node("b"));
  CHECK(!f.takes_node("c"));
  CHECK(!parse_row_filter("node_id != a").takes_node("a"));
  CHECK(parse_row_filter("node_id != a").takes_node("b"));
}

TEST_CASE("row filter: both") {
  const RowFilter f = parse_row_filter("time >= 2025-01-01 and node_id = web-1 and time < 2025-02-01");
  CHECK(f.by_time());
  CHECK(f.by_node());
  CHECK(*f.until - *f.from == 31 * 86400);
}

TEST_CASE("row filter: errors name the place") {
  check_refused("tim >= 5", "character 1: expected time or node_id, got 'tim'");
  check_refused("time", "character 5: expected one of >=, >, <, <=, =, got the end");
  check_refused("time in (5)", "character 6: expected one of >=");
  check_refused("time != 5", "got '!='");
  check_refused("time >= yesterday", "character 9: expected Unix seconds or an ISO 8601 date");
  check_refused("time >= 2025-02-30", "got '2025-02-30'");
  check_refused("time >= 2025-01-01 10:00", "character 20: expected 'and' and another condition");
  check_refused("time <= 9223372036854775807", "expected Unix seconds");
  check_refused("time >= 99999999999999999999", "expected Unix seconds");
  check_refused("time >= 5 and", "character 14: expected time or node_id, got the end");
  check_refused("time >= 5 or time < 3", "character 11");
  check_refused("node_id", "expected one of =, !=, in, not in");
  check_refused("node_id > a", "got '>'");
  check_refused("node_id =", "expected the name of a node, got the end");
  check_refused("node_id = (", "expected the name of a node, got '('");
  check_refused("node_id = ''", "expected the name of a node");
  check_refused("node_id in a", "expected '(', got 'a'");
  check_refused("node_id in (a b)", "expected ',' or ')', got 'b'");
  check_refused("node_id in (a, b", "expected ',' or ')', got the end");
  check_refused("node_id not (a)", "expected 'in', got '('");
  check_refused("node_id = 'a", "character 11: this ' has no end");
  check_refused("time > 5 and time < 5", "character 21: no time can meet this and what stands before");
  check_refused("node_id = a and node_id = b", "no node can meet");
  check_refused("node_id = a and node_id != a", "no node can meet");
}

TEST_CASE("unix seconds") {
  CHECK(*parse_unix_seconds("-7") == -7);
  CHECK(*parse_unix_seconds("7.25") == 8);
  CHECK(*parse_unix_seconds("-7.25") == -7);
  CHECK(*parse_unix_seconds("2025-01-01") == 1735689600);
  CHECK(!parse_unix_seconds(""));
  CHECK(!parse_unix_seconds("7d"));
}
