// Cleaning against pandas, against a plain implementation row by row, and what a row may not depend on.
#include <algorithm>
#include <map>

#include "cleaning_support.h"
#include "emshap/core/atomic_file.h"
#include "emshap/core/random.h"
#include "emshap/data/split.h"

using namespace emshap;
using test::HostRow;
using test::missing;
using test::same;
using test::values;

namespace {

CleaningOptions everything() {
  CleaningOptions o;
  o.outliers = Outliers::clip;
  o.fill = FillMissing::forward;
  o.calendar = true;
  o.lags = {1, 2};
  o.rolling = 3;
  o.products = {"a*b"};
  return o;
}

struct Sample {
  std::vector<HostRow> rows;
  std::vector<std::int32_t> part;
  std::vector<std::int64_t> train;
  Table table() const { return test::host_table(rows); }
};

Sample sample(std::uint64_t seed, int count) {
  Generator random({seed, RandomPurpose::test});
  Sample s;
  for (int i = 0; i < count; ++i) {
    HostRow row;
    row.node = std::string(1, static_cast<char>('p' + static_cast<int>(5 * random.uniform())));
    row.time = static_cast<std::int64_t>(30 * random.uniform());
    row.a = random.uniform() < .3 ? missing : static_cast<float>(random.normal());
    row.b = random.uniform() < .3 ? missing : static_cast<float>(std::exp(3 * random.normal()));
    s.part.push_back(row.time < 18 ? 0 : row.time < 22 ? 1 : 2);
    if (s.part.back() == 0) s.train.push_back(i);
    s.rows.push_back(row);
  }
  return s;
}

/// Rows of r's host and part up to r, the latest last, found by looking at all rows.
std::vector<std::size_t> past(const Sample& s, std::size_t r, bool with_later = false) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < s.rows.size(); ++i) {
    const bool related = s.rows[i].node == s.rows[r].node && s.part[i] == s.part[r];
    if (related && (with_later || std::pair(s.rows[i].time, i) <= std::pair(s.rows[r].time, r)))
      found.push_back(i);
  }
  std::sort(found.begin(), found.end(),
            [&](auto i, auto j) { return std::pair(s.rows[i].time, i) < std::pair(s.rows[j].time, j); });
  return found;
}

double quantile(std::vector<double> sorted, double q) {
  std::sort(sorted.begin(), sorted.end());
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto i = static_cast<std::size_t>(at);
  return i + 1 == sorted.size() ? sorted[i]
                                : sorted[i] + (at - static_cast<double>(i)) * (sorted[i + 1] - sorted[i]);
}

}  // namespace

TEST_CASE("cleaning: as pandas computes it") {
  ColumnSelection columns;
  columns.time = "time";
  columns.node_id = "node";
  const std::string text = read_file(std::filesystem::path(EMSHAP_TEST_DIR) / "golden" / "cleaning.csv");
  const Table golden = test::csv_table(text, columns);
  columns.features = {"a", "b"};
  const Table table = test::csv_table(text, columns);
  std::vector<std::int32_t> part;
  std::vector<std::int64_t> train;
  for (const float p : values(golden, "part")) {
    part.push_back(static_cast<std::int32_t>(p));
    if (p == 0) train.push_back(static_cast<std::int64_t>(part.size()) - 1);
  }
  const auto check = [&](const Table& out, const std::string& name, const std::string& expected_name) {
    CAPTURE(name);
    const std::vector<float> got = values(out, name), expected = values(golden, expected_name);
    REQUIRE(got.size() == expected.size());
    for (std::size_t r = 0; r < got.size(); ++r) {
      CAPTURE(r);
      CHECK(std::isnan(got[r]) == std::isnan(expected[r]));
      if (!std::isnan(got[r]))
        CHECK(std::abs(got[r] - expected[r]) <= 4e-6f * std::max(1.f, std::abs(expected[r])));
    }
  };
  const Cleaning cleaning = Cleaning::fit(everything(), table, train);
  const Table out = cleaning.apply(table, part);
  for (const std::string name : {"a", "b"}) {
    for (const std::string rest : {"_lag1", "_lag2", "_mean3", "_std3"}) check(out, name + rest, name + rest);
    check(out, name, name + "_filled");
  }
  for (const char* name : {"hour", "day_of_week", "weekend"}) check(out, name, name);
  check(out, "a*b", "ab");
  for (std::size_t c = 0; c < 2; ++c) {
    const std::string name = c == 0 ? "a" : "b";
    CHECK(cleaning.low()[c] == doctest::Approx(values(golden, name + "_low")[0]));
    CHECK(cleaning.high()[c] == doctest::Approx(values(golden, name + "_high")[0]));
  }
  CleaningOptions gaps = everything();
  gaps.fill = FillMissing::keep;
  const Table kept = Cleaning::fit(gaps, table, train).apply(table, part);
  for (const std::string name : {"a", "b"}) check(kept, name + "_mean3", name + "_gaps");
}

TEST_CASE("cleaning: as a plain implementation that looks at all rows for each row") {
  for (const int count : {1, 2, 31, 32, 33, 200}) {
    CAPTURE(count);
    Sample s = sample(static_cast<std::uint64_t>(count), count);
    if (s.train.empty()) {
      s.train = {0};
      s.part[0] = 0;
    }
    const Table table = s.table();
    const Table out = Cleaning::fit(everything(), table, s.train).apply(table, s.part);
    for (const std::string name : {"a", "b"}) {
      CAPTURE(name);
      const std::vector<float> raw = values(table, name);
      std::vector<double> present;
      for (const std::int64_t r : s.train)
        if (!std::isnan(raw[static_cast<std::size_t>(r)]))
          present.push_back(raw[static_cast<std::size_t>(r)]);
      double low = -INFINITY, high = INFINITY, mean = NAN;
      if (!present.empty()) {
        const double q1 = quantile(present, .25), q3 = quantile(present, .75);
        if (q3 > q1) {
          low = static_cast<double>(static_cast<float>(q1 - 1.5 * (q3 - q1)));
          high = static_cast<double>(static_cast<float>(q3 + 1.5 * (q3 - q1)));
        }
        mean = 0;
        for (const double v : present) mean += std::clamp(v, low, high) / static_cast<double>(present.size());
      }
      const auto clipped = [&](std::size_t r) {
        return static_cast<float>(std::clamp(static_cast<double>(raw[r]), low, high));
      };
      std::vector<float> filled;
      for (std::size_t r = 0; r < raw.size(); ++r) {
        float v = static_cast<float>(mean);
        const auto all = past(s, r, true), before = past(s, r);
        for (auto i = all.rbegin(); i != all.rend(); ++i)
          if (!std::isnan(raw[*i])) v = clipped(*i);
        for (const std::size_t i : before)
          if (!std::isnan(raw[i])) v = clipped(i);
        filled.push_back(v);
      }
      const auto near = [](float got, double expected) {
        CHECK(std::isnan(got) == std::isnan(expected));
        if (!std::isnan(got)) CHECK(static_cast<double>(got) == doctest::Approx(expected).epsilon(1e-5));
      };
      for (std::size_t r = 0; r < raw.size(); ++r) {
        CAPTURE(r);
        near(values(out, name)[r], static_cast<double>(filled[r]));
        const auto before = past(s, r);
        for (const std::size_t lag : {1u, 2u})
          near(values(out, name + "_lag" + std::to_string(lag))[r],
               before.size() > lag ? static_cast<double>(filled[before[before.size() - 1 - lag]]) : NAN);
        double average = NAN, deviation = NAN;
        if (before.size() >= 3) {
          double sum = 0, squares = 0;
          for (std::size_t i = before.size() - 3; i < before.size(); ++i)
            sum += static_cast<double>(filled[before[i]]);
          average = sum / 3;
          for (std::size_t i = before.size() - 3; i < before.size(); ++i)
            squares += std::pow(static_cast<double>(filled[before[i]]) - average, 2);
          deviation = std::sqrt(squares / 2);
        }
        near(values(out, name + "_mean3")[r], average);
        const float got = values(out, name + "_std3")[r];
        CHECK(std::isnan(got) == std::isnan(deviation));
        if (!std::isnan(got))
          CHECK(std::abs(static_cast<double>(got) - deviation) <= 1e-5 * (1 + std::abs(average)));
      }
    }
  }
}

TEST_CASE("cleaning: no row depends on rows of other hosts or parts, nor the fit on rows outside training") {
  const Sample s = sample(7, 150);
  const Table table = s.table();
  const Cleaning cleaning = Cleaning::fit(everything(), table, s.train);
  const Table out = cleaning.apply(table, s.part);
  for (const std::size_t changed : {3u, 40u, 90u, 149u}) {
    CAPTURE(changed);
    Sample other = s;
    other.rows[changed].a = std::isnan(s.rows[changed].a) ? .5f : s.rows[changed].a < 0 ? .25f : -.25f;
    const Table again = cleaning.apply(other.table(), s.part);
    bool seen = false;
    for (const std::string& name : out.feature_names()) {
      const auto before = values(out, name), after = values(again, name);
      for (std::size_t r = 0; r < before.size(); ++r) {
        if (s.rows[r].node == s.rows[changed].node && s.part[r] == s.part[changed])
          seen |= !same(before[r], after[r]);
        else
          CHECK(same(before[r], after[r]));
      }
    }
    CHECK(seen);
    if (s.part[changed] != 0)
      CHECK(Cleaning::fit(everything(), other.table(), s.train).hash() == cleaning.hash());
  }
}

TEST_CASE("cleaning: the order of the table does not matter where times differ") {
  Sample s = sample(8, 60);
  for (std::size_t i = 0; i < s.rows.size(); ++i) s.rows[i].time = static_cast<std::int64_t>(i);
  const Table table = s.table();
  const auto order = permutation({9, RandomPurpose::test}, table.rows());
  const std::vector<std::int64_t> rows(order.begin(), order.end());
  const Cleaning cleaning = Cleaning::fit(everything(), table, all_rows(table));
  CHECK(cleaning.apply(table).select(rows).content_hash() ==
        cleaning.apply(table.select(rows)).content_hash());
}

TEST_CASE("cleaning: numbers of parts") {
  Split split;
  split.train = {4, 0};
  split.validation = {1};
  split.test = {3};
  CHECK(parts_of(split, 6) == std::vector<std::int32_t>{0, 1, 3, 2, 0, 3});
}
