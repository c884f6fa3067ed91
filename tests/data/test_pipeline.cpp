// Fitted steps: statistics, missing values, constant columns, both directions.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "data_support.h"
#include "emshap/data/pipeline.h"
#include "emshap/data/steps.h"
#include "example_table.h"

using namespace emshap;
using namespace emshap::test;

namespace {

double mean_of(std::span<const float> v, std::span<const std::int64_t> rows) {
  double sum = 0;
  std::int64_t n = 0;
  for (const auto r : rows)
    if (!std::isnan(v[static_cast<std::size_t>(r)])) {
      sum += static_cast<double>(v[static_cast<std::size_t>(r)]);
      ++n;
    }
  return sum / static_cast<double>(n);
}

}  // namespace

TEST_CASE("pipeline: fitted on the training rows only, at sizes around a block") {
  for (const int rows : {4, 31, 255, 256, 257, 700}) {
    const Table t = example(rows);
    std::vector<std::int64_t> train;
    for (int i = 0; i < rows; i += 2) train.push_back(i);
    const Preprocessor p = Preprocessor::fit(t, train);
    CHECK(p.features.input_names() == std::vector<std::string>{"a", "k", "m"});
    CHECK(p.features.output_names() == std::vector<std::string>{"a", "m"});
    const auto* drop = p.features.find<DropConstant>();
    REQUIRE(drop != nullptr);
    CHECK(drop->dropped_names() == std::vector<std::string>{"k"});
    CHECK(drop->dropped_values()[0] == 7);
    const auto* scaler = p.features.find<StandardScaler>();
    CHECK(scaler->count() == static_cast<std::int64_t>(train.size()));
    CHECK(scaler->means()[0] == doctest::Approx(mean_of(t.column("a").f32(), train)).epsilon(1e-14));
    CHECK(p.features.find<MeanImpute>()->means()[1] ==
          doctest::Approx(mean_of(t.column("m").f32(), train)).epsilon(1e-14));

    const Tensor x = p.features.transform(t, train);
    CHECK(x.shape() == Shape{static_cast<std::int64_t>(train.size()), 2});
    for (int c = 0; c < 2; ++c) {
      double sum = 0, square = 0;
      for (std::int64_t r = 0; r < x.rows(); ++r) {
        const double v = static_cast<double>(x.ptr<float>()[r * 2 + c]);
        sum += v;
        square += v * v;
      }
      CHECK(std::abs(sum / static_cast<double>(x.rows())) < 1e-6);
      CHECK(square / static_cast<double>(x.rows()) == doctest::Approx(1).epsilon(1e-6));
    }
    // The same numbers from the tensor of raw values.
    const Tensor raw = raw_features(t, train);
    Tensor again({x.rows(), 2});
    p.features.transform(raw, again);
    for (std::int64_t i = 0; i < x.elements(); ++i) REQUIRE(again.ptr<float>()[i] == x.ptr<float>()[i]);
    const Tensor y = p.transform_target(t, train);
    Tensor watts({y.rows(), 1});
    p.target.inverse(y, watts);
    for (std::int64_t r = 0; r < y.rows(); ++r)
      REQUIRE(watts.ptr<float>()[r] == doctest::Approx(static_cast<double>(2 * r)).epsilon(1e-5).scale(100));
    CHECK(p.warnings().size() == 1 + (p.features.find<MeanImpute>()->missing()[1] > 0 ? 1 : 0));
  }
}

TEST_CASE("pipeline: inverse undoes transform and the Jacobian is that of finite differences") {
  const Table t = example(100, false);
  const Preprocessor p = Preprocessor::fit(t, all_rows(t));
  std::vector<double> x{50, 7, .3, 41, 7, .9}, y(4), back(6), log_jacobian(2);
  p.features.transform(x.data(), 2, y.data());
  p.features.inverse(y.data(), 2, back.data());
  for (std::size_t i = 0; i < 6; ++i) CHECK(back[i] == doctest::Approx(x[i]).epsilon(1e-14));
  p.features.log_jacobian(x.data(), 2, log_jacobian.data());
  double expected = 0;
  const std::size_t input_of[2] = {0, 2};
  for (std::size_t c = 0; c < 2; ++c) {
    std::vector<double> up = x, y_up(4);
    up[input_of[c]] += 1e-3;
    p.features.transform(up.data(), 2, y_up.data());
    expected += std::log((y_up[c] - y[c]) / 1e-3);
  }
  CHECK(log_jacobian[0] == doctest::Approx(expected).epsilon(1e-9));
  CHECK(log_jacobian[1] == log_jacobian[0]);
}

TEST_CASE("scaler: statistics keep their digits where the mean is large, and it warns") {
  std::string text = "a,y\n";
  for (int i = 0; i < 1000; ++i) text += std::to_string(16'000'000 + i % 2) + ",1\n";
  Table t = csv_table(text + "16000000,2\n", y_target());
  Pipeline p;
  p.add("standardise", std::make_unique<StandardScaler>());
  std::vector<std::int64_t> rows = all_rows(t);
  rows.pop_back();
  p.fit(t, rows);
  CHECK(p.find<StandardScaler>()->means()[0] == doctest::Approx(16'000'000.5).epsilon(1e-15));
  CHECK(p.find<StandardScaler>()->scales()[0] == doctest::Approx(.5).epsilon(1e-12));
  REQUIRE(p.warnings().size() == 1);
  CHECK_SAYS(p.warnings()[0], "column 'a' has mean 1.6e+07");
}

TEST_CASE("pipeline: tables that do not fit, and data that cannot be scaled") {
  const Table t = example(50);
  const Preprocessor p = Preprocessor::fit(t, all_rows(t));
  const Table other = csv_table("a,q,m,z,y\n1,2,3,4,5\n", y_target());
  const std::string text = error_text(ErrorKind::data, [&] { p.features.transform(other, all_rows(other)); });
  CHECK_SAYS(text,
             "the 4 features differ from the 3 the scaler was fitted on: feature 2 is 'q', expected 'k'");
  const Table fewer = csv_table("a,k,y\n1,2,3\n", y_target());
  CHECK_SAYS(error_text(ErrorKind::data, [&] { p.features.transform(fewer, all_rows(fewer)); }),
             "feature 3 is nothing, expected 'm'");

  const Table flat = csv_table("a,b,y\n1,,1\n1,,2\n1,,3\n", y_target());
  CHECK_SAYS(error_text(ErrorKind::data, [&] { Preprocessor::fit(flat, all_rows(flat)); }),
             "none of the 2 features (a, b) varies");
  const Table same = csv_table("a,y\n1,5\n2,5\n3,5\n", y_target());
  CHECK_SAYS(error_text(ErrorKind::data, [&] { Preprocessor::fit(same, all_rows(same)); }),
             "column 'y' does not vary among the 3");
  CHECK_SAYS(error_text(ErrorKind::data, [&] { Preprocessor::fit(t, {}); }), "none of the 3 features");
  ColumnSelection no_target;
  const Table x = csv_table("a\n1\n2\n", no_target);
  CHECK_SAYS(error_text(ErrorKind::data, [&] { Preprocessor::fit(x, all_rows(x)); }), "no target column");

  // Without imputation a missing value is named with its row.
  const Preprocessor strict = Preprocessor::fit(example(50, false), all_rows(t), false);
  CHECK_SAYS(error_text(ErrorKind::data, [&] { strict.features.transform(t, all_rows(t)); }),
             "t.csv data row 2, feature 'm': the value is missing");
  CHECK_SAYS(error_text(ErrorKind::data, [&] { Preprocessor::fit(t, all_rows(t), false); }),
             "column 'm' has missing values");

  const Preprocessor plain = Preprocessor::fit(t, all_rows(t), true, false);
  CHECK(plain.transform_target(t, all_rows(t)).ptr<float>()[7] == 7);
  Pipeline twice;
  twice.add("s", std::make_unique<StandardScaler>());
  CHECK_THROWS_AS(twice.add("s", std::make_unique<StandardScaler>()), ConfigError);
}

TEST_CASE("imputation: only where the table had missing cells") {
  const Table t = csv_table("a,m,h,y\n1,,5,1\n2,3,6,2\n4,4,9,3\n5,6,,4\n", y_target());
  const std::vector<std::int64_t> train{0, 1, 2};
  const Preprocessor p = Preprocessor::fit(t, train);
  const auto* impute = p.features.find<MeanImpute>();
  CHECK(!impute->fills(0));
  CHECK(impute->fills(1));
  CHECK(impute->fills(2));  // complete in the training rows, not in the row held back
  CHECK(p.features.transform(t, all_rows(t)).ptr<float>()[11] == doctest::Approx(0).scale(1));
  const Table other = csv_table("a,m,h,y\n1,,,1\n,3,5,2\n", y_target());
  CHECK_SAYS(error_text(ErrorKind::data, [&] { p.features.transform(other, all_rows(other)); }),
             "t.csv data row 2, feature 'a': the value is missing");
  MeanImpute named({"b", "z"});
  named.begin_fit({"a", "b"});
  const double rows[] = {1, 2, 3, 4};
  named.observe(rows, 2);
  named.end_fit();
  CHECK(!named.fills(0));
  CHECK(named.fills(1));
  CHECK_THROWS_AS(MeanImpute::from_state({"a"}, {1}, {0}, {}), IoError);
}
