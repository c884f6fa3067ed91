// Rows of a CSV file chosen by time and host.
#include "data_support.h"

using namespace emshap;
using namespace emshap::test;

namespace {

const std::string text =
    "at,host,x,y\n"
    "10,a,1,2\n"
    "\n"
    "11,b,3,4\n"
    ",a,5,6\n"
    "12,,7,8\n"
    "-13,\"NA\",9,10\n";

ColumnSelection columns() {
  ColumnSelection s;
  s.target = "y";
  s.features = {"x"};
  return s;
}

Table rows(const CsvRowTest& test, std::size_t chunk = 1 << 20, const std::string& from = text) {
  CsvOptions options;
  options.rows = test;
  options.chunk_bytes = chunk;
  return csv_table(from, columns(), {}, options);
}

}  // namespace

TEST_CASE("csv rows: the others are as if they were not there") {
  const auto from_11 = [](std::int64_t time, std::string_view) { return time >= 11; };
  for (const std::size_t chunk : {std::size_t{1}, std::size_t{12}, std::size_t{1000}}) {
    const Table t = rows({"at", "", from_11}, chunk);
    REQUIRE(t.rows() == 2);
    CHECK(t.column("x").f32()[0] == 3);
    CHECK(t.column("x").f32()[1] == 7);
    CHECK(t.source_row(1) == 1);
    CHECK(t.provenance().rows_read == 2);
    CHECK(t.provenance().data_hash ==
          csv_table("at,host,x,y\n11,b,3,4\n12,,7,8\n", columns()).provenance().data_hash);
  }
}

TEST_CASE("csv rows: missing, quoted and negative cells") {
  const auto any = [](std::int64_t, std::string_view) { return true; };
  CHECK(rows({"", "", any}).rows() == 5);
  CHECK(rows({"at", "", any}).rows() == 4);
  CHECK(rows({"at", "host", any}).rows() == 3);
  CHECK(rows({"", "host", [](std::int64_t t, std::string_view n) { return t == 0 && n == "NA"; }}).rows() ==
        1);
  CHECK(rows({"at", "", [](std::int64_t t, std::string_view n) { return t == -13 && n.empty(); }}).rows() ==
        1);
}

TEST_CASE("csv rows: other forms of time become seconds") {
  const auto at = [](std::int64_t second) {
    return [second](std::int64_t time, std::string_view) { return time == second; };
  };
  CHECK(rows({"at", "", at(10)}, 1000, "at,x,y\n10.0,1,2\n10.9,3,4\n11.0,5,6\n").rows() == 2);
  CHECK(rows({"at", "", at(-1)}, 1000, "at,x,y\n-0.5,1,2\n0.5,3,4\n").rows() == 1);
  CHECK(rows({"at", "", at(1735689600)}, 1000, "at,x,y\n2025-01-01,1,2\n2025-01-02,3,4\n").rows() == 1);
}

TEST_CASE("csv rows: errors") {
  const auto any = [](std::int64_t, std::string_view) { return true; };
  CHECK_SAYS(error_text(ErrorKind::data,
                        [&] {
                          rows({"att", "", any});
                        }),
             "no column 'att' to choose rows by, did you mean 'at'?");
  CHECK_SAYS(error_text(ErrorKind::data,
                        [&] {
                          rows({"host", "", any});
                        }),
             "t.csv line 2, column 'host': 'a' is not a time");
  CHECK_SAYS(error_text(ErrorKind::data,
                        [&] {
                          rows({"at", "", [](auto, auto) { return false; }});
                        }),
             "there are no data rows");
}
