// The piecewise-linear encoding: edges, values, both directions, and its JSON.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "data_support.h"
#include "emshap/data/pipeline.h"
#include "emshap/data/steps.h"

using namespace emshap;
using namespace emshap::test;

namespace {

/// Fits one block of rows, row-major.
PiecewiseLinear fitted(std::int64_t bins, const std::vector<std::string>& names,
                       const std::vector<double>& rows) {
  PiecewiseLinear step(bins);
  step.begin_fit(names);
  step.observe(rows.data(), static_cast<std::int64_t>(rows.size() / names.size()));
  step.end_fit();
  return step;
}

std::vector<double> counting(int count) {
  std::vector<double> values;
  for (int i = 0; i <= count; ++i) values.push_back(i);
  return values;
}

}  // namespace

TEST_CASE("piecewise linear: edges are quantiles, bins run from 0 to 1") {
  const PiecewiseLinear step = fitted(4, {"a"}, counting(100));
  CHECK(step.edges(0) == std::vector<double>{0, 25, 50, 75, 100});
  CHECK(step.output_names() == std::vector<std::string>{"a", "a[1]", "a[2]", "a[3]", "a[4]"});
  const double in[] = {-10, 10, 50, 60, 1000};
  double out[25];
  step.transform(in, 5, out);
  const double expected[25] = {-10, 0, 0,  0, 0, 10, .4, 0,    0, 0, 50, 1, 1,
                               0,   0, 60, 1, 1, .4, 0,  1000, 1, 1, 1,  1};
  for (int i = 0; i < 25; ++i) CHECK(out[i] == doctest::Approx(expected[i]).epsilon(1e-14));
  double back[5];
  step.inverse(out, 5, back);
  for (int i = 0; i < 5; ++i) CHECK(back[i] == in[i]);
}

TEST_CASE("piecewise linear: equal quantiles share a bin, columns with one bin are passed on") {
  std::vector<double> rows;
  for (int i = 0; i < 100; ++i) {
    rows.push_back(i < 80 ? 0 : i - 79);  // 80 % zeros
    rows.push_back(i % 2);                // two values
    rows.push_back(5);
  }
  const PiecewiseLinear step = fitted(10, {"zeros", "binary", "same"}, rows);
  CHECK(step.edges(0) == std::vector<double>{0, 10, 20});
  CHECK(step.edges(1).empty());
  CHECK(step.edges(2).empty());
  CHECK(step.output_names() == std::vector<std::string>{"zeros", "zeros[1]", "zeros[2]", "binary", "same"});
  CHECK(fitted(2, {"a"}, {1, 1 + 1e-320, 2}).edges(0).empty());  // a width whose slope would overflow
}

TEST_CASE("piecewise linear: many rows are thinned out evenly, whatever the blocks") {
  constexpr int count = 300000;  // more than four times most_values
  const std::vector<double> rows = counting(count);
  const PiecewiseLinear whole = fitted(4, {"a"}, rows);
  PiecewiseLinear parts(4);
  parts.begin_fit({"a"});
  for (std::size_t at = 0; at < rows.size(); at += 777)
    parts.observe(rows.data() + at, static_cast<std::int64_t>(std::min<std::size_t>(777, rows.size() - at)));
  parts.end_fit();
  CHECK(whole.edges(0) == parts.edges(0));
  for (int t = 0; t <= 4; ++t)
    CHECK(whole.edges(0)[static_cast<std::size_t>(t)] ==
          doctest::Approx(count * t / 4.).epsilon(1e-3).scale(count));
}

TEST_CASE("piecewise linear: what cannot be encoded") {
  CHECK_THROWS_AS(fitted(1, {"a"}, {1, 2}), ConfigError);
  CHECK_THROWS_AS(fitted(4, {"a"}, {}), DataError);
  CHECK_SAYS(error_text(ErrorKind::data,
                        [] {
                          fitted(4, {"a"}, {1, std::numeric_limits<double>::quiet_NaN()});
                        }),
             "'a'");
}

#if __has_include(<nlohmann/json.hpp>)
TEST_CASE("piecewise linear: JSON there and back, and states that are refused") {
  std::vector<double> rows;
  for (int i = 0; i < 50; ++i) rows.insert(rows.end(), {std::sqrt(i), static_cast<double>(i % 2)});
  Pipeline pipeline;
  pipeline.add("encode", std::make_unique<PiecewiseLinear>(5));
  pipeline.fit({"a", "b"}, [&](const auto& see) { see(rows.data(), 50); });
  const Pipeline read = Pipeline::from_json(pipeline.to_json());
  CHECK(read.output_names() == pipeline.output_names());
  CHECK(read.to_json() == pipeline.to_json());
  const double in[] = {3.3, 1};
  std::vector<double> a(static_cast<std::size_t>(pipeline.outputs())), b(a.size());
  pipeline.transform(in, 1, a.data());
  read.transform(in, 1, b.data());
  CHECK(a == b);

  const auto refused = [](std::vector<std::int64_t> counts, std::vector<double> edges) {
    CHECK_THROWS_AS(PiecewiseLinear::from_state({"a", "b"}, std::move(counts), std::move(edges)), IoError);
  };
  refused({3}, {1, 2, 3});
  refused({3, 0}, {1, 2});
  refused({2, 0}, {1, 2});
  refused({-3, 6}, {1, 2, 3});
  refused({3, 0}, {1, 1, 2});
  refused({3, 0}, {1, 2, std::numeric_limits<double>::infinity()});
  CHECK_NOTHROW(PiecewiseLinear::from_state({"a", "b"}, {3, 0}, {1, 2, 3}));
}
#endif
