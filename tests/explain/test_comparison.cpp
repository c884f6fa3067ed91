// MSEv of several methods: by hand, with groups, and who is recommended.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "emshap/explain/comparison.h"
#include "emshap/report/comparison_table.h"

using namespace emshap;

namespace {

constexpr double missing = std::numeric_limits<double>::quiet_NaN();

/// Rows that differ much among each other, and by `difference` ± `spread` from those of other methods.
std::vector<double> scores(std::size_t rows, double difference, double spread, std::uint64_t seed) {
  Generator common({1, RandomPurpose::test}), own({seed, RandomPurpose::test});
  std::vector<double> out;
  for (std::size_t r = 0; r < rows; ++r)
    out.push_back(5 + 3 * common.normal() + difference + spread * own.normal());
  return out;
}

}  // namespace

TEST_CASE("estimates by hand, rows without a number left out") {
  const MethodComparison c =
      compare_methods({{"a", {1, 2, missing, 4, 9}, missing}, {"b", {2, 2, 7, 5, missing}, missing}});
  CHECK(c.rows == 3);
  CHECK(c.clusters == 0);
  CHECK(c.methods[0].msev.value == doctest::Approx(7 / 3.));
  CHECK(c.methods[1].msev.value == doctest::Approx(3));
  // Sample sd of 1, 2, 4 over sqrt 3.
  CHECK(c.methods[0].msev.standard_error == doctest::Approx(std::sqrt(7 / 3.) / std::sqrt(3.)));
  CHECK(c.best == 0);
  CHECK(c.methods[0].behind.value == 0);
  CHECK(c.methods[0].behind.standard_error == 0);
  CHECK(c.methods[1].behind.value == doctest::Approx(2 / 3.));
  CHECK(c.methods[1].behind.standard_error == doctest::Approx(std::sqrt(1 / 3. / 3)));
  CHECK(c.methods[1].tied);  // .667 is exactly two times .333
  CHECK(c.difference(0, 1).value == -c.difference(1, 0).value);
  CHECK(c.difference(1, 1).value == 0);
}

TEST_CASE("rows of a group count together") {
  // Each row twice: as many groups as there were rows, so the same errors.
  const std::vector<double> a = scores(20, 0, 1, 2), b = scores(20, .3, 1, 3);
  std::vector<double> aa, bb;
  std::vector<std::int64_t> group;
  for (std::size_t r = 0; r < a.size(); ++r)
    for (int twice = 0; twice < 2; ++twice) {
      aa.push_back(a[r]);
      bb.push_back(b[r]);
      group.push_back(static_cast<std::int64_t>(100 - r));
    }
  const MethodComparison once = compare_methods({{"a", a, missing}, {"b", b, missing}});
  const MethodComparison twice = compare_methods({{"a", aa, missing}, {"b", bb, missing}}, group);
  CHECK(twice.clusters == 20);
  CHECK(twice.rows == 40);
  CHECK(twice.difference(0, 1).value == doctest::Approx(once.difference(0, 1).value));
  CHECK(twice.difference(0, 1).standard_error == doctest::Approx(once.difference(0, 1).standard_error));
  CHECK(compare_methods({{"a", aa, missing}, {"b", bb, missing}}).difference(0, 1).standard_error <
        .8 * twice.difference(0, 1).standard_error);
}

TEST_CASE("the paired error is far below that of one method") {
  const MethodComparison c =
      compare_methods({{"a", scores(100, 0, .1, 2), 4}, {"b", scores(100, .2, .1, 3), 2}});
  CHECK(c.methods[0].msev.standard_error > .2);
  CHECK(c.methods[1].behind.standard_error < .03);
  CHECK_FALSE(c.methods[1].tied);
  CHECK(c.best == 0);
  CHECK(c.recommended == 0);  // dearer, but better
  CHECK(c.recommendation.find("Take a: its MSEv is below every other") == 0);
  CHECK(c.recommendation.find("(b's by ") != std::string::npos);
}

TEST_CASE("a tie goes to the cheaper method") {
  const auto a = scores(50, 0, 1, 2), b = scores(50, .01, 1, 3), worse = scores(50, 5, 1, 4);
  MethodComparison c = compare_methods({{"a", a, 100}, {"b", b, 10}, {"worse", worse, 1}});
  REQUIRE(c.methods[0].tied);
  REQUIRE(c.methods[1].tied);
  CHECK_FALSE(c.methods[2].tied);
  CHECK(c.recommended == 1);
  CHECK(c.recommendation.find("Take b") == 0);

  c = compare_methods({{"a", a, 10}, {"b", b, 10}, {"worse", worse, 1}});
  CHECK(c.recommended == c.best);
  c = compare_methods({{"a", a, missing}, {"b", b, 10}, {"worse", worse, 1}});
  CHECK(c.recommended == c.best);
  CHECK(c.recommendation.find("is the lowest, though not by two") != std::string::npos);
  // The same numbers twice: no difference, no error.
  c = compare_methods({{"a", a, 3}, {"b", a, 2}});
  CHECK(c.recommended == 1);
}

TEST_CASE("too little to say more") {
  MethodComparison c = compare_methods({{"a", {1., 2.}, missing}});
  CHECK(c.recommendation == "There is nothing to compare a with.");
  c = compare_methods({{"a", {3}, 1}, {"b", {2}, 2}});
  CHECK(c.best == 1);
  CHECK(c.recommended == 1);
  CHECK(std::isnan(c.methods[0].behind.standard_error));
  CHECK(c.recommendation.find("a single row says nothing") != std::string::npos);
  const std::vector<std::int64_t> group{7, 7};
  c = compare_methods({{"a", {3, 4}, 1}, {"b", {2, 1}, 2}}, group);
  CHECK(c.recommendation.find("a single group of rows") != std::string::npos);
}

TEST_CASE("as text and as JSON") {
  const MethodComparison c = compare_methods({{"a \"1\"", {1, 2, 4}, 10}, {"b", {21, 22.5, 25}, missing}});
  const std::string json = c.json();
  CHECK(json.find(R"({"rows":3,"groups":0,"methods":[{"name":"a \"1\"","msev":2.33333)") == 0);
  CHECK(json.find(R"("cost":null,"behind":20.5)") != std::string::npos);
  CHECK(json.find(R"("best":"a \"1\"","recommended":"a \"1\"")") != std::string::npos);
  CHECK(json.find(R"("differences":[{"a":"a \"1\"","b":"b","difference":-20.5,)") != std::string::npos);
  const std::string text = report::comparison_table(c);
  CHECK(text.find("MSEv over 3 rows;") == 0);
  CHECK(text.find("+20.5") != std::string::npos);
  CHECK(text.find("worse") != std::string::npos);
  CHECK(text.find("cost") != std::string::npos);
  CHECK(text.find(c.recommendation) != std::string::npos);
  CHECK(report::comparison_table(c, 100).find("+0.205") != std::string::npos);
  CHECK(report::comparison_table(c, 100).find("share of the variance") != std::string::npos);
}

TEST_CASE("what it refuses") {
  CHECK_THROWS_AS(compare_methods({}), ConfigError);
  CHECK_THROWS_AS(compare_methods({{"a", {1.}, 1}, {"a", {1.}, 1}}), ConfigError);
  CHECK_THROWS_AS(compare_methods({{"a", {1.}, 1}, {"b", {1., 2.}, 1}}), ShapeError);
  const std::vector<std::int64_t> group{1, 2};
  CHECK_THROWS_AS(compare_methods({{"a", {1.}, 1}}, group), ShapeError);
  CHECK_THROWS_AS(compare_methods({{"a", {1., missing}, 1}, {"b", {missing, 2.}, 1}}), DataError);
  CHECK_THROWS_AS(compare_methods({{"a", {}, 1}}), DataError);
}
