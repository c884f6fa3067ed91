// A fitted cleaning written as JSON and read again.
#include "cleaning_support.h"
#include "emshap/core/random.h"

using namespace emshap;
using test::error_text;
using test::missing;

namespace {

Cleaning fitted() {
  Generator random({5, RandomPurpose::test});
  std::vector<test::HostRow> rows;
  for (int i = 0; i < 40; ++i)
    rows.push_back(
        {i % 2 == 0 ? "x" : "y", i, static_cast<float>(random.normal() / 3), i < 30 ? 7.f : missing});
  const Table table = test::host_table(rows);
  CleaningOptions o;
  o.outliers = Outliers::clip;
  o.fill = FillMissing::forward;
  o.iqr_factor = 1.1;
  o.calendar = true;
  o.lags = {1, 2};
  o.rolling = 5;
  o.derive_from = {"a"};
  o.products = {"a*b"};
  return Cleaning::fit(o, table, all_rows(table));
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("cleaning: written as JSON and read again it is the same") {
  const Cleaning before = fitted();
  const Cleaning after = Cleaning::from_json(before.to_json());
  CHECK(after.options() == before.options());
  CHECK(after.input_names() == before.input_names());
  CHECK(after.output_names() == before.output_names());
  CHECK(after.metric_of_output() == before.metric_of_output());
  CHECK(after.low() == before.low());
  CHECK(after.high() == before.high());
  CHECK(after.hash() == before.hash());
  CHECK(after.to_json() == before.to_json());
  CHECK(after.descriptions() == before.descriptions());
  const Table table =
      test::host_table({{"x", 1, 100, missing}, {"x", 2, missing, 1}, {"z", 3, missing, missing}});
  CHECK(after.apply(table).content_hash() == before.apply(table).content_hash());

  CHECK(Cleaning::from_json(Cleaning().to_json()).empty());
}

TEST_CASE("cleaning: a file that is damaged or edited is refused") {
  const std::string text = fitted().to_json();
  const auto refused = [](const std::string& damaged) {
    return error_text(ErrorKind::data, [&] { Cleaning::from_json(damaged); });
  };
  CHECK_SAYS(refused(text.substr(0, text.size() / 2)), "not valid JSON");
  CHECK_SAYS(refused(replaced(text, "emshap cleaning", "other")), "no cleaning file");
  CHECK_SAYS(refused(replaced(text, "\"version\": 1", "\"version\": 2")), "version 2, expected 1");
  CHECK_SAYS(refused(replaced(text, "\"iqr_factor\": 1.1", "\"iqr_factor\": 1.2")), "was the file edited?");
  CHECK_SAYS(refused(replaced(text, "\"lags\": [1, 2]", "\"lags\": [1, 3]")), "was the file edited?");
  CHECK_SAYS(refused(replaced(text, "\"clip\"", "\"cut\"")), "not known");
  CHECK_SAYS(refused(replaced(text, "\"lags\"", "\"legs\"")), "\"lags\" is missing");
  CHECK_SAYS(refused(replaced(text, "\"means\": [", "\"means\": [1.0, ")), "expected 2, one a feature");
}
