// Cleaning on tables small enough to be done by hand, and what it refuses.
#include "cleaning_support.h"

using namespace emshap;
using test::error_text;
using test::host_table;
using test::missing;
using test::same;
using test::values;

namespace {

Table cleaned(const CleaningOptions& options, const Table& table, const std::vector<std::int32_t>& part = {},
              CleaningReport* report = nullptr) {
  return Cleaning::fit(options, table, all_rows(table)).apply(table, part, report);
}

CleaningOptions forward() {
  CleaningOptions o;
  o.fill = FillMissing::forward;
  return o;
}

CleaningOptions clip() {
  CleaningOptions o;
  o.outliers = Outliers::clip;
  return o;
}

}  // namespace

TEST_CASE("cleaning: without options every bit stays as it is") {
  const Table table = host_table({{"x", 3, 1, missing}, {"y", 1, -0.f, 2}, {"x", 2, 1e30f, 3}});
  const Cleaning cleaning = Cleaning::fit({}, table, all_rows(table));
  CHECK(cleaning.empty());
  CHECK(cleaning.output_names() == table.feature_names());
  CHECK(cleaning.apply(table).content_hash() == table.content_hash());
  CHECK(Cleaning().apply(table).content_hash() == table.content_hash());
  CHECK(Cleaning().kept(table, all_rows(table)) == all_rows(table));
  CHECK(cleaning.descriptions().empty());
}

TEST_CASE("cleaning: forward filling goes along a host's time, then back, then takes the mean") {
  // Host x in order of time: -, 1, -, 3, -; y lacks all; z has one row without a value.
  const Table table = host_table({{"x", 50, missing, 0},
                                  {"x", 10, missing, 0},
                                  {"y", 20, missing, 0},
                                  {"x", 40, 3, 0},
                                  {"z", 15, missing, 0},
                                  {"x", 20, 1, 0},
                                  {"y", 10, missing, 0},
                                  {"x", 30, missing, 0}});
  CleaningReport report;
  const Table out = cleaned(forward(), table, {}, &report);
  CHECK(same(values(out, "a"), {3, 1, 2, 3, 2, 1, 2, 1}));
  CHECK(out.column("a").missing() == 0);
  CHECK(report.columns.at(0).filled == 6);
  CHECK(report.columns.at(1).filled == 0);
}

TEST_CASE("cleaning: a column without any training value stays missing where its host has none") {
  const Table table =
      host_table({{"x", 1, missing, 0}, {"x", 2, missing, 1}, {"y", 3, 7, 2}, {"y", 4, missing, 2}});
  const Cleaning cleaning = Cleaning::fit(forward(), table, std::vector<std::int64_t>{0, 1});
  const Table out = cleaning.apply(table);
  CHECK(same(values(out, "a"), {missing, missing, 7, 7}));
  CHECK(out.column("a").missing() == 2);
}

TEST_CASE("cleaning: bounds are NumPy's quartiles, of training rows only, and a column of IQR 0 is left") {
  std::vector<test::HostRow> rows;
  for (int i = 0; i < 8; ++i) rows.push_back({"x", i, static_cast<float>(i), i == 0 ? 100.f : 5.f});
  rows.push_back({"x", 8, 1000, -1000});
  rows.push_back({"x", 9, -1000, missing});
  const Table table = host_table(rows);
  const std::vector<std::int64_t> train{0, 1, 2, 3, 4, 5, 6, 7};
  const Cleaning cleaning = Cleaning::fit(clip(), table, train);
  // Quartiles of 0..7: 1.75 and 5.25.
  CHECK(cleaning.low().at(0) == 1.75 - 1.5 * 3.5);
  CHECK(cleaning.high().at(0) == 5.25 + 1.5 * 3.5);
  CHECK(std::isinf(cleaning.low().at(1)));
  CHECK(std::isinf(cleaning.high().at(1)));
  CleaningReport report;
  const Table out = cleaning.apply(table, {}, &report);
  CHECK(same(values(out, "a"), {0, 1, 2, 3, 4, 5, 6, 7, 10.5f, -3.5f}));
  CHECK(same(values(out, "b"), values(table, "b")));
  CHECK(report.columns.at(0).clipped == 2);
  CHECK(report.columns.at(1).clipped == 0);

  CleaningOptions drop = clip();
  drop.outliers = Outliers::drop;
  const Cleaning dropping = Cleaning::fit(drop, table, train);
  CHECK(dropping.kept(table, all_rows(table)) == train);
  CHECK(dropping.apply(table).content_hash() == table.content_hash());
  CHECK(std::isinf(dropping.high().at(0)));
}

TEST_CASE("cleaning: means that fill are of what outliers leave") {
  const Table table = host_table({{"n", 0, 0, 0},
                                  {"n", 1, 1, 0},
                                  {"n", 2, 2, 0},
                                  {"n", 3, 3, 0},
                                  {"n", 4, 1000, 0},
                                  {"m", 0, missing, 0}});
  CleaningOptions o = forward();
  const auto fill_of = [&](Outliers outliers) {
    o.outliers = outliers;
    return values(cleaned(o, table), "a").at(5);
  };
  CHECK(fill_of(Outliers::off) == 201.2f);
  CHECK(fill_of(Outliers::clip) == 2.4f);  // quartiles 1 and 3: 1000 becomes 6
  CHECK(fill_of(Outliers::drop) == 1.5f);
}

TEST_CASE("cleaning: lags and rolling values of hosts whose rows lie anywhere, equal times by source row") {
  CleaningOptions o;
  o.lags = {1, 3};
  o.rolling = 2;
  o.derive_from = {"a"};
  // x in order: 1 (t 5), 2 (t 6), 4 (t 6, later row), 8 (t 9); y: one row.
  const Table table =
      host_table({{"x", 9, 8, 0}, {"x", 6, 2, 0}, {"y", 7, 5, 0}, {"x", 6, 4, 0}, {"x", 5, 1, 0}});
  const Cleaning cleaning = Cleaning::fit(o, table, all_rows(table));
  const Table out = cleaning.apply(table);
  CHECK(out.feature_names() == std::vector<std::string>{"a", "b", "a_lag1", "a_lag3", "a_mean2", "a_std2"});
  CHECK(cleaning.metric_of_output() == std::vector<std::string>{"a", "b", "a", "a", "a", "a"});
  CHECK(same(values(out, "a_lag1"), {4, 1, missing, 2, missing}));
  CHECK(same(values(out, "a_lag3"), {1, missing, missing, missing, missing}));
  CHECK(same(values(out, "a_mean2"), {6, 1.5f, missing, 3, missing}));
  CHECK(values(out, "a_std2").at(0) == doctest::Approx(std::sqrt(8.)));
  CHECK(values(out, "a_std2").at(3) == doctest::Approx(std::sqrt(2.)));
  CHECK(out.column("node").text(2) == "y");
  CHECK(out.source_row(4) == 4);
  CHECK(cleaning.descriptions() ==
        std::vector<std::string>{
            "a_lag1 is a 1 sample of the node before", "a_lag3 is a 3 samples of the node before",
            "a_mean2 is the mean of a over the last 2 samples of the node",
            "a_std2 is the standard deviation (divided by 1) of a over the last 2 samples of the node"});
}

TEST_CASE("cleaning: a missing value is missing in lags, in every window that holds it and in products") {
  CleaningOptions o;
  o.lags = {1};
  o.rolling = 2;
  o.derive_from = {"a"};
  o.products = {"a*b", "a_lag1*a_lag1"};
  const Table out =
      cleaned(o, host_table({{"x", 1, 3, 2}, {"x", 2, missing, 2}, {"x", 3, 5, 2}, {"x", 4, 7, -1}}));
  CHECK(same(values(out, "a_lag1"), {missing, 3, missing, 5}));
  CHECK(same(values(out, "a_mean2"), {missing, missing, missing, 6}));
  CHECK(same(values(out, "a*b"), {6, missing, 10, -7}));
  CHECK(same(values(out, "a_lag1*a_lag1"), {missing, 9, missing, 25}));
}

TEST_CASE("cleaning: a later row alone is clipped, filled with the mean and has no past") {
  CleaningOptions o = forward();
  o.outliers = Outliers::clip;
  o.lags = {1};
  const Table table = host_table({{"x", 1, 1, 1}, {"x", 2, 2, 2}, {"x", 3, 3, 3}, {"x", 4, 4, 4}});
  const Cleaning cleaning = Cleaning::fit(o, table, all_rows(table));
  const Table out = cleaning.apply(host_table({{"new", 99, missing, 1e9f}}));
  CHECK(same(values(out, "a"), {2.5f}));
  CHECK(same(values(out, "b"), {5.5f}));
  CHECK(same(values(out, "a_lag1"), {missing}));
  CHECK(cleaning.apply(host_table({})).rows() == 0);
}

TEST_CASE("cleaning: hour, day and weekend in UTC, from seconds to nanoseconds and before 1970") {
  CleaningOptions o;
  o.calendar = true;
  // Sunday 2023-12-31 23:59:59, Monday 2024-01-01, Wednesday 1969-12-31 23:00.
  const Table table = host_table({{"x", 1704067199, 0, 0},
                                  {"x", 1704067200, 0, 0},
                                  {"x", 1704067199999, 0, 0},
                                  {"x", 1704067199999999, 0, 0},
                                  {"x", 1704067199999999999, 0, 0},
                                  {"x", -3600, 0, 0}});
  const Cleaning cleaning = Cleaning::fit(o, table, all_rows(table));
  const Table out = cleaning.apply(table);
  CHECK(same(values(out, "hour"), {23, 0, 23, 23, 23, 23}));
  CHECK(same(values(out, "day_of_week"), {6, 0, 6, 6, 6, 2}));
  CHECK(same(values(out, "weekend"), {1, 0, 1, 1, 1, 0}));
  CHECK(cleaning.metric_of_output().back() == "time");
}

TEST_CASE("cleaning: rows without a host are alone, rows without a time come last, a group is a host") {
  CleaningOptions o;
  o.lags = {1};
  o.derive_from = {"a"};
  const std::string text = "a,host,when\n1,x,30\n2,,31\n3,x,10\n4,,32\n5,x,\n";
  ColumnSelection columns;
  columns.time = "when";
  const std::vector<float> expected{3, missing, missing, missing, 1};
  columns.node_id = "host";
  CHECK(same(values(cleaned(o, test::csv_table(text, columns)), "a_lag1"), expected));
  columns.group = "host";
  columns.node_id.clear();
  CHECK(same(values(cleaned(o, test::csv_table(text, columns)), "a_lag1"), expected));
  columns.group.clear();
  columns.exclude = {"host"};  // all rows are one host
  CHECK(same(values(cleaned(o, test::csv_table(text, columns)), "a_lag1"), {3, 1, missing, 2, 4}));
}

TEST_CASE("cleaning: what a table cannot serve is refused in a sentence") {
  const Table table = host_table({{"x", 1, 1, 1}, {"x", 2, 2, 2}});
  const auto refused = [&](const CleaningOptions& o) {
    return error_text(ErrorKind::usage, [&] { Cleaning::fit(o, table, all_rows(table)); });
  };
  CleaningOptions o;
  o.lags = {0};
  CHECK_SAYS(refused(o), "expected 1 or more");
  o.lags = {1, 1};
  CHECK_SAYS(refused(o), "'a_lag1' has the name of another column");
  o = {};
  o.rolling = 1;
  CHECK_SAYS(refused(o), "at least 2 rows");
  o = {};
  o.iqr_factor = -1;
  CHECK_SAYS(refused(o), "0 or more");
  o = {};
  o.derive_from = {"aa"};
  CHECK_SAYS(refused(o), "did you mean 'a'");
  o = {};
  o.products = {"a"};
  CHECK_SAYS(refused(o), "two or more as in a*b");
  o.products = {"a*time"};
  CHECK_SAYS(refused(o), "no feature 'time'");

  o = clip();
  CHECK_SAYS(error_text(ErrorKind::data, [&] { Cleaning::fit(o, table, {}); }), "no training rows");
  const Cleaning fitted = Cleaning::fit(o, table, all_rows(table));
  ColumnSelection all;
  CHECK_SAYS(error_text(ErrorKind::data, [&] { fitted.apply(test::csv_table("b,a\n1,2\n", all)); }),
             "feature 1 is 'b', expected 'a'");
  CHECK_SAYS(error_text(ErrorKind::internal, [&] { fitted.apply(table, std::vector<std::int32_t>{0}); }),
             "expected 2, one a row");
  o = {};
  o.calendar = true;
  CHECK_SAYS(error_text(ErrorKind::usage,
                        [&] {
                          const Table none = test::csv_table("a\n1\n", all);
                          Cleaning::fit(o, none, all_rows(none));
                        }),
             "needs a time column");
  o = {};
  o.products = {"a*b"};
  const Table large = host_table({{"x", 1, 1e30f, 1e30f}});
  CHECK_SAYS(error_text(ErrorKind::data, [&] { cleaned(o, large); }), "the product 'a*b'");
  o = {};
  o.outliers = Outliers::drop;
  o.iqr_factor = 0;
  const Table edges = host_table({{"x", 1, 0, 50}, {"x", 2, 100, 50}, {"x", 3, 50, 0}, {"x", 4, 50, 100}});
  CHECK_SAYS(error_text(ErrorKind::data, [&] { Cleaning::fit(o, edges, all_rows(edges)); }),
             "clip outliers instead");
  CHECK_SAYS(error_text(ErrorKind::usage, [] { parse_outliers("cut"); }), "off, clip or drop");
  CHECK_SAYS(error_text(ErrorKind::usage, [] { parse_fill_missing("mean"); }), "keep or forward");
}
