// Splits by row, time and group, and their file.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "data_support.h"
#include "emshap/core/atomic_file.h"
#include "emshap/data/split.h"

using namespace emshap;
using namespace emshap::test;

namespace {

// a, y, and a time and a group that `time_of` and `group_of` give.
template <class Time, class Group>
Table make_table(int rows, const Time& time_of, const Group& group_of) {
  std::string text = "a,t,g,y\n";
  for (int i = 0; i < rows; ++i)
    text +=
        std::to_string(i) + "," + std::to_string(time_of(i)) + ",g" + std::to_string(group_of(i)) + ",1\n";
  ColumnSelection selection;
  selection.target = "y";
  selection.time = "t";
  selection.group = "g";
  return csv_table(text, selection);
}
Table make_table(int rows) {
  return make_table(
      rows, [&](int i) { return rows - i; }, [](int i) { return i / 10; });
}

void check_partition(const Split& s, std::int64_t rows) {
  std::set<std::int64_t> seen;
  for (const auto* part : {&s.train, &s.validation, &s.test}) {
    CHECK(std::is_sorted(part->begin(), part->end()));
    seen.insert(part->begin(), part->end());
  }
  CHECK(static_cast<std::int64_t>(s.train.size() + s.validation.size() + s.test.size()) == rows);
  CHECK(static_cast<std::int64_t>(seen.size()) == rows);
  CHECK(*seen.begin() == 0);
  CHECK(*seen.rbegin() == rows - 1);
}

}  // namespace

TEST_CASE("split by row: fractions of all rows, every row once, seeded") {
  for (const int rows : {5, 10, 11, 31, 100, 1003}) {
    const Table t = make_table(rows);
    const Split s = make_split(t, {});
    check_partition(s, rows);
    CHECK(s.test.size() == static_cast<std::size_t>(std::llround(.2 * rows)));
    CHECK(s.validation.size() == static_cast<std::size_t>(std::llround(.1 * rows)));
  }
  const Table t = make_table(100);
  SplitOptions options;
  const Split a = make_split(t, options), b = make_split(t, options);
  CHECK(a.train == b.train);
  options.seed = 43;
  CHECK(make_split(t, options).train != a.train);
  options.test = 0;
  options.train = .9;
  CHECK(make_split(t, options).test.empty());
}

TEST_CASE("split by time: the latest rows are the test rows, equal times stay together") {
  SplitOptions options;
  options.mode = SplitMode::time;
  const Table t = make_table(100);  // time falls with the row number
  Split s = make_split(t, options);
  check_partition(s, 100);
  CHECK(s.test.front() == 0);
  CHECK(s.test.back() == 19);
  CHECK(s.validation.front() == 20);
  CHECK(s.train.front() == 30);
  const Table ties = make_table(
      100, [](int i) { return i / 8; }, [](int i) { return i; });
  s = make_split(ties, options);
  check_partition(s, 100);
  std::map<int, std::set<int>> parts_of_time;
  const auto note = [&](const std::vector<std::int64_t>& rows, int part) {
    for (const auto r : rows) parts_of_time[static_cast<int>(r / 8)].insert(part);
  };
  note(s.train, 0);
  note(s.validation, 1);
  note(s.test, 2);
  for (const auto& [time, parts] : parts_of_time) CHECK(parts.size() == 1);
}

TEST_CASE("split by group: whole groups, fractions as near as groups allow") {
  SplitOptions options;
  options.mode = SplitMode::group;
  for (const std::uint64_t seed : {1ULL, 2ULL, 3ULL, 4ULL, 5ULL}) {
    options.seed = seed;
    const Table t = make_table(
        1000, [](int i) { return i; }, [](int i) { return i * i / 20000; });  // sizes vary
    const Split s = make_split(t, options);
    check_partition(s, 1000);
    std::map<std::string, std::set<int>> parts_of;
    const auto note = [&](const std::vector<std::int64_t>& rows, int part) {
      for (const auto r : rows) parts_of[std::string(t.column("g").text(r))].insert(part);
    };
    note(s.train, 0);
    note(s.validation, 1);
    note(s.test, 2);
    for (const auto& [group, parts] : parts_of) CHECK(parts.size() == 1);
    CHECK(s.test.size() > 170);
    CHECK(s.test.size() < 230);
    CHECK(s.validation.size() > 70);
    CHECK(s.validation.size() < 130);
  }
  // Three groups, three parts.
  const Split three = make_split(make_table(30), options);
  CHECK(three.train.size() == 10);
  CHECK(three.validation.size() == 10);
  CHECK(three.test.size() == 10);
  CHECK_SAYS(error_text(ErrorKind::data, [&] { make_split(make_table(20), options); }),
             "has 2 groups, expected at least 3");
}

TEST_CASE("split: what cannot be split") {
  for (const int rows : {1, 2, 3, 4}) {
    const std::string text = error_text(ErrorKind::data, [&] { make_split(make_table(rows), {}); });
    CHECK_SAYS(text, std::to_string(rows) + " rows split by row give");
    CHECK_SAYS(text, "expected at least one for");
  }
  Table empty = make_table(5);
  empty.clear_rows();
  CHECK_SAYS(error_text(ErrorKind::data, [&] { make_split(empty, {}); }), "no rows");
  SplitOptions options;
  options.test = .3;
  CHECK_SAYS(error_text(ErrorKind::usage, [&] { make_split(make_table(10), options); }), "expected 1");
  options.test = -.2;
  CHECK_SAYS(error_text(ErrorKind::usage, [&] { make_split(make_table(10), options); }), "expected 0 to 1");
  CHECK_SAYS(error_text(ErrorKind::usage, [] { parse_split_mode("rows"); }), "row, time or group");

  ColumnSelection selection;
  selection.target = "y";
  Table plain = csv_table("a,g,y\n1,2,3\n", selection);
  options = {};
  options.mode = SplitMode::group;
  CHECK_SAYS(error_text(ErrorKind::data, [&] { make_split(plain, options); }), "needs a group column");
  selection.group = "g";
  plain = csv_table("a,g,y\n1,2,3\n1,,3\n", selection);
  CHECK_SAYS(error_text(ErrorKind::data, [&] { make_split(plain, options); }),
             "misses 1 values, the first in data row 2");
}

TEST_CASE("split.csv: written and read again; other data and damaged files are refused") {
  const TemporaryFolder folder;
  ColumnSelection selection;
  selection.target = "y";
  std::string text = "a,y\n";
  for (int i = 0; i < 50; ++i) text += std::to_string(i) + "," + (i % 9 == 4 ? "" : "1") + "\n";
  const Table t = csv_table(text, selection, {MissingTarget::drop, MissingFeature::keep});
  const Split s = make_split(t, {});
  const auto path = folder / "split.csv";
  write_split(path, s, t);
  const Split back = read_split(path, t);
  CHECK(back.train == s.train);
  CHECK(back.validation == s.validation);
  CHECK(back.test == s.test);
  CHECK(back.seed == 42);

  const std::string content = read_file(path);
  CHECK_SAYS(content, "data_hash=" + t.provenance().data_hash);
  CHECK(content.find("\n4,") == std::string::npos);  // the row without target; numbers are those of the file
  CHECK_SAYS(content, "\n48,");
  const Table other =
      csv_table("a,y\n7,1\n" + text.substr(4), selection, {MissingTarget::drop, MissingFeature::keep});
  CHECK_SAYS(error_text(ErrorKind::data, [&] { read_split(path, other); }), "belongs to other data");
  const Table all = csv_table(text, {}, {});
  CHECK(all.rows() == 50);

  const auto refused = [&](const std::string& damaged) {
    return error_text(ErrorKind::data, [&] { read_split(folder.write("bad.csv", damaged), t); });
  };
  CHECK_SAYS(refused(""), "no split file");
  CHECK_SAYS(refused("row,part\n0,train\n"), "no split file");
  CHECK_SAYS(refused(content + "3,train\n"), "expected ascending rows");
  CHECK_SAYS(refused(content + "50,train\n"), "is not in the table");
  CHECK_SAYS(refused(content + "51\n"), "expected 'row,part'");
  CHECK_SAYS(refused(content + "51,dev\n"), "part 'dev' is not known");
}
