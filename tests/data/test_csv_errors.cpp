// Every input that cannot be used gives one sentence that names the place, as an error of kind data (exit
// code 3).
#include <doctest/doctest.h>

#include "data_support.h"

using namespace emshap;
using namespace emshap::test;

namespace {
ColumnSelection target(const std::string& name = "y") {
  ColumnSelection selection;
  selection.target = name;
  return selection;
}

std::string data_error(const std::string& text, const ColumnSelection& selection = target(),
                       const RowPolicy& policy = {}) {
  const std::string message = error_text(ErrorKind::data, [&] { csv_table(text, selection, policy); });
  CHECK_SAYS(message, "t.csv");
  return message;
}
}  // namespace

TEST_CASE("csv errors: files") {
  const TemporaryFolder folder;
  std::string text = error_text(ErrorKind::data, [&] { read_csv(folder / "absent.csv", target()); });
  CHECK_SAYS(text, "absent.csv");
  CHECK_SAYS(text, "No such file");
  text = error_text(ErrorKind::data, [&] { read_csv(folder / "", target()); });
  CHECK_SAYS(text, "folder");
  CHECK_SAYS(data_error(""), "empty");
  CHECK_SAYS(data_error("\n\n  \n"), "empty");
  CHECK_SAYS(data_error("\xEF\xBB\xBF"), "empty");
  CHECK_SAYS(data_error("a,y\n"), "no data rows");
  CHECK_SAYS(data_error("a,y"), "no data rows");
  CHECK_SAYS(data_error(std::string("\xFF\xFE"
                                    "a\0,\0",
                                    6)),
             "UTF-16");
}

TEST_CASE("csv errors: names and roles") {
  CHECK_SAYS(data_error("lread,lwrite,usr\n1,2,3\n", target("usrr")),
             "no column 'usrr' for the target, did you mean 'usr'?");
  CHECK_SAYS(data_error("alpha,beta\n1,2\n", target("zzzzzz")), "known: alpha, beta");
  CHECK_SAYS(data_error("a,b,a,y\n1,2,3,4\n"), "line 1, column 3: the name 'a' is that of column 1 too");
  CHECK_SAYS(data_error("a,,y\n1,2,3\n"), "line 1, column 2: the column has no name");
  CHECK_SAYS(data_error("a\xFF,y\n1,2\n"), "column 1: the name is not UTF-8");
  CHECK_SAYS(data_error("y\n1\n"), "none of the 1 columns is left as a feature");
  ColumnSelection twice = target();
  twice.group = "y";
  CHECK_SAYS(data_error("a,y\n1,2\n", twice), "'y' is named as target and as group");
  twice = target();
  twice.features = {"a"};
  twice.exclude = {"a"};
  CHECK_SAYS(data_error("a,y\n1,2\n", twice), "'a' is named as excluded column and as feature");
}

TEST_CASE("csv errors: cells") {
  CHECK_SAYS(data_error("host,a,y\n1,2,3\nweb01,5,6\n"),
             "t.csv line 3, column 'host': 'web01' is not a number");
  CHECK_SAYS(data_error("host,a,y\nweb01,5,6\n"), "--exclude host or name it as the group with --group host");
  CHECK_SAYS(data_error("a,y\n1,high\n"),
             "line 2, column 'y': 'high' is not a number, expected one in the target");
  CHECK_SAYS(data_error("a,y\n1,2\ninf,2\n"), "line 3, column 'a': 'inf' is infinite");
  CHECK_SAYS(data_error("a,y\n1,-1e39\n"), "'-1e39' is beyond the range of float32");
  CHECK_SAYS(data_error("a,y\n1,2\n1,\n"), "line 3, column 'y': the target is missing");
  CHECK_SAYS(data_error("a,y\n\"x\ny\",2\n"), "line 2, column 'a': 'x y' is not a number");
  CHECK_SAYS(data_error("a,y\n" + std::string(100, 'z') + ",2\n"), std::string(40, 'z') + "...'");
  ColumnSelection selection = target();
  selection.time = "t";
  CHECK_SAYS(data_error("t,a,y\nnoon,1,2\n", selection),
             "'noon' is not a time, expected an integer, decimal seconds or");
  CHECK_SAYS(data_error("t,a,y\n5,1,2\n2025-01-01,1,2\n", selection),
             "line 3, column 't': '2025-01-01' is not a time, expected an integer as");
  RowPolicy policy{MissingTarget::drop, MissingFeature::drop};
  CHECK_SAYS(data_error("a,y\n1,\n,2\n", target(), policy),
             "none of the 2 rows is left: 1 have no target and 1 miss a feature");
}

TEST_CASE("csv errors: rows, quotes and bytes") {
  CHECK_SAYS(data_error("a,b,y\n1,2,3\n1,2\n"), "line 3: the row has 2 cells, expected 3");
  CHECK_SAYS(data_error("a,y\n1,2,3\n"), "line 2: the row has 3 cells, expected 2");
  CHECK_SAYS(data_error("a,y\n1,2\n\"3,4\n5,6\n"), "line 3: column 1: a quote is open until the end");
  CHECK_SAYS(data_error("a,y\n1,\"2"), "line 2: column 2: a quote is open");
  CHECK_SAYS(data_error("a,y\n\"1\"x,2\n"), "line 2: column 1: text follows a closing quote");
  CHECK_SAYS(data_error(std::string("a,y\n1,2\n3\0,4\n", 13)), "line 3: column 1: there is a NUL byte");
  CHECK_SAYS(data_error(std::string("a,y\n\"3\0\",4\n", 11)), "line 2: column 1: there is a NUL byte");
  CHECK_SAYS(data_error("a,y\r1,2\r"), "line 1: column 2: a carriage return stands alone");
  // The line is counted over line ends inside quotes.
  ColumnSelection selection = target();
  selection.group = "g";
  CHECK_SAYS(data_error("g,a,y\n\"x\n\ny\",1,2\nz,q,2\n", selection), "line 5, column 'a': 'q'");
  // A quote that never closes does not take all memory.
  const std::string huge = "a,y\n\"" + std::string(std::size_t{40} << 20, 'x');
  CHECK_SAYS(data_error(huge), "line 2: the record is longer than");
}

TEST_CASE("csv errors: options") {
  for (const char delimiter : {'"', '\n', '\r', '\0', '5', 'e', '.', '-'}) {
    CsvOptions options;
    options.delimiter = delimiter;
    CHECK_SAYS(error_text(ErrorKind::usage, [&] { csv_table("a,y\n1,2\n", target(), {}, options); }),
               "delimiter");
  }
  CHECK_SAYS(error_text(ErrorKind::usage, [] { parse_missing_feature("median"); }), "expected mean or drop");
  const TemporaryFolder folder;
  const Table t = csv_table("a,y\n1,2\n", target());
  CHECK_SAYS(error_text(ErrorKind::environment, [&] { write_csv(folder / "no/such/folder.csv", t); }),
             "folder.csv");
}
