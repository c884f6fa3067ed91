// independence and empirical: cases worked out by hand, errors, and what must not matter.
#include <doctest/doctest.h>

#include <numeric>

#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "emshap/explain/baseline_values.h"
#include "value_support.h"

using namespace emshap;
using namespace emshap::test;

namespace {

constexpr float missing = std::numeric_limits<float>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

BaselineOptions options_of(std::int64_t draws, std::int64_t replicates, std::uint64_t seed = 42) {
  BaselineOptions options;
  options.drawn.draws = draws;
  options.drawn.replicates = replicates;
  options.drawn.seed = seed;
  return options;
}

BaselineOptions with_kernel(double bandwidth, double mass, std::int64_t most_rows = 0) {
  BaselineOptions options;
  options.bandwidth = bandwidth;
  options.mass = mass;
  options.most_rows = most_rows;
  return options;
}

Tensor random_rows(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  Tensor out({rows, columns});
  for (std::int64_t r = 0; r < rows; ++r) {
    Generator random({seed, RandomPurpose::test}, static_cast<std::uint64_t>(r));
    const double common = random.normal();
    for (std::int64_t c = 0; c < columns; ++c)
      out.ptr<float>()[r * columns + c] = static_cast<float>(.6 * common + .8 * random.normal());
  }
  return out;
}

double wiggly(const float* x) {
  return x[0] * x[1] + std::sin(2 * x[2]) + .3 * x[0] * x[2];
}

double element(const Tensor& x, std::int64_t i) {
  return x.ptr<double>()[i];
}

}  // namespace

TEST_CASE("independence: all rows when there are no more, and then there is no error") {
  const Tensor train = rows_of({{1, 2, 0}, {3, 1, 4}, {5, 6, 2}});
  const CallablePredictor f = predictor(3, [](const float* x) { return x[0] * x[1] + x[2]; });
  const auto values = independence_values(letters(3), train, f, options_of(128, 8));
  CHECK(values->name() == "independence");
  CHECK(values->columns() == letters(3));
  CHECK(values->evaluations() == 3);
  CHECK(values->replicates() == 1);
  CHECK_FALSE(values->shared_noise());
  const Tensor x = rows_of({{2, -1, 7}});
  const CoalitionValues v = values_of(*values, x, masks_of({{0, 0, 0}, {1, 0, 0}, {0, 1, 1}, {1, 1, 1}}));
  CHECK(element(v.value, 0) == doctest::Approx((2 + 0 + 3 + 4 + 30 + 2) / 3.));
  CHECK(element(v.value, 1) == doctest::Approx((4 + 0 + 2 + 4 + 12 + 2) / 3.));
  CHECK(element(v.value, 2) == doctest::Approx((-1 + 7 - 3 + 7 - 5 + 7) / 3.));
  CHECK(element(v.value, 3) == 5);
  for (std::int64_t c = 0; c < 4; ++c) {
    CHECK(element(v.effective, c) == inf);
    CHECK(element(v.deviation, c) == 0);
  }
  CHECK_FALSE(v.shared_noise);
}

TEST_CASE("independence: parts of the replicates by hand, errors of drawing without replacement") {
  Tensor train({40, 2});
  for (std::int64_t r = 0; r < 40; ++r) {
    train.ptr<float>()[2 * r] = static_cast<float>(r);
    train.ptr<float>()[2 * r + 1] = static_cast<float>(r % 7);
  }
  const CallablePredictor f = predictor(2, [](const float* x) { return x[0] + 100 * x[1]; });
  const auto values = independence_values(letters(2), train, f, options_of(8, 4));
  CHECK(values->shared_noise());
  CHECK(values->replicates() == 4);
  const Tensor x = rows_of({{-1, 3}, {0, 5}});
  const CoalitionValues v = values_of(*values, x, masks_of({{0, 1}, {1, 0}, {1, 1}}));
  CHECK(v.shared_noise);
  for (std::int64_t b = 0; b < 2; ++b) {
    double sum = 0, squares = 0;
    for (std::int64_t g = 0; g < 4; ++g) {
      sum += element(v.deviation, b * 12 + g);
      squares += element(v.deviation, b * 12 + g) * element(v.deviation, b * 12 + g);
    }
    CHECK(sum == doctest::Approx(0).epsilon(1e-12));
    CHECK(squares > 0);
    CHECK(element(v.effective, 3 * b) == 8);
    CHECK(element(v.effective, 3 * b + 2) == inf);
    CHECK(element(v.deviation, b * 12 + 8) == 0);
  }
  // The same rows whatever is asked: the mean of the first column of 8 of 40 distinct rows.
  CHECK(element(v.value, 0) - 300 == doctest::Approx(element(v.value, 3) - 500));

  // Over seeds: unbiased for the mean of all rows, and the reported variance is right, too.
  constexpr int repetitions = 400;
  double mean = 0, square = 0, reported = 0;
  for (int i = 0; i < repetitions; ++i) {
    const auto one =
        independence_values(letters(2), train, f, options_of(8, 4, 1000 + static_cast<std::uint64_t>(i)));
    const CoalitionValues w = values_of(*one, rows_of({{-1, 3}}), masks_of({{0, 1}}));
    const double error = element(w.value, 0) - (300 + 19.5);
    mean += error / repetitions;
    square += error * error / repetitions;
    for (std::int64_t g = 0; g < 4; ++g)
      reported += 4. / 3 * element(w.deviation, g) * element(w.deviation, g) / repetitions;
  }
  // Finite population: S^2 / 8 (1 - 8 / 40), S^2 = 40 * 41 / 12.
  const double truth = 40 * 41 / 12. / 8 * (1 - 8. / 40);
  CHECK(std::abs(mean) < 4 * std::sqrt(truth / repetitions));
  CHECK(square == doctest::Approx(truth).epsilon(.2));
  CHECK(reported == doctest::Approx(truth).epsilon(.1));
}

TEST_CASE("independence: missing values, constant columns") {
  const Tensor train = rows_of({{1, 5, 2}, {missing, 5, 3}, {4, 5, 6}, {2, 5, missing}});
  const CallablePredictor f = predictor(3, [](const float* x) { return x[0] + 10 * x[1] + 1000 * x[2]; });
  const auto values = independence_values(letters(3), train, f, options_of(128, 8));
  CHECK(values->evaluations() == 2);  // complete rows
  CHECK(values->modelled() == std::vector<bool>{true, false, true});
  // Column b is constant in training: no player, but what a mask says of it counts.
  const Tensor x = rows_of({{0, 7, missing}, {missing, missing, missing}});
  const CoalitionValues v = values_of(*values, x, masks_of({{1, 1, 1}, {0, 0, 0}}));
  CHECK(element(v.value, 0) == doctest::Approx(0 + 70 + 4000));
  CHECK(element(v.value, 1) == doctest::Approx(2.5 + 50 + 4000));
  CHECK(element(v.value, 2) == doctest::Approx(2.5 + 50 + 4000));
}

TEST_CASE("empirical: weights by hand") {
  // One known column: Sigma = var, D^2 = (x - x_i)^2 / var.
  const Tensor train = rows_of({{0, 10}, {1, 20}, {2, 30}, {3, 40}});
  const CallablePredictor f = predictor(2, [](const float* x) { return x[0] + x[1]; });
  BaselineOptions options;
  options.bandwidth = .5;
  options.mass = 1;
  const auto values = empirical_values(letters(2), train, f, options);
  const Tensor x = rows_of({{.5, 0}});
  const double var = 5. / 3 * (1 + 1e-6);
  double total = 0, sum = 0, squares = 0;
  for (int i = 0; i < 4; ++i) {
    const double w = std::exp(-(i - .5) * (i - .5) / var / (2 * .25));
    total += w;
    squares += w * w;
    sum += w * (.5 + 10 * (i + 1));
  }
  CoalitionValues v = values_of(*values, x, masks_of({{1, 0}, {0, 0}, {1, 1}}));
  CHECK(element(v.value, 0) == doctest::Approx(sum / total).epsilon(1e-9));
  CHECK(element(v.effective, 0) == doctest::Approx(total * total / squares).epsilon(1e-9));
  CHECK(element(v.value, 1) == doctest::Approx(26.5));  // nothing known: all rows alike
  CHECK(element(v.effective, 1) == doctest::Approx(4));
  CHECK(element(v.value, 2) == .5);
  CHECK(element(v.effective, 2) == inf);
  CHECK_FALSE(v.shared_noise);
  for (std::int64_t c = 0; c < 3; ++c) CHECK(element(v.deviation, c) == 0);

  // Up to .95 of the mass: rows 0 and 1 have .4955 each of it, then come .0083 and less.
  options.mass = .95;
  options.bandwidth = .4;
  v = values_of(*empirical_values(letters(2), train, f, options), x, masks_of({{1, 0}}));
  CHECK(element(v.value, 0) == doctest::Approx(15.5).epsilon(1e-9));
  CHECK(element(v.effective, 0) == doctest::Approx(2).epsilon(1e-9));
  // At least one row, the first of those that are as near.
  options.mass = 1e-9;
  const Tensor twins = rows_of({{3, 10}, {1, 20}, {1, 30}});
  v = values_of(*empirical_values(letters(2), twins, f, options), rows_of({{1.5, 0}}), masks_of({{1, 0}}));
  CHECK(element(v.value, 0) == doctest::Approx(21.5));
  // Far from everything the nearest row is left.
  v = values_of(*empirical_values(letters(2), train, f, {}), rows_of({{5000, 0}}), masks_of({{1, 0}}));
  CHECK(element(v.value, 0) == doctest::Approx(5040));
  CHECK(element(v.effective, 0) == doctest::Approx(1));
}

TEST_CASE("empirical: two known columns share D^2 and the covariance counts") {
  // Columns a and b uncorrelated with variances 4/3 and 12, c is the row's number.
  const Tensor train = rows_of({{-1, -3, 0}, {1, -3, 1}, {-1, 3, 2}, {1, 3, 3}});
  const CallablePredictor f = predictor(3, [](const float* x) { return x[2]; });
  BaselineOptions options;
  options.bandwidth = .7;
  options.mass = 1;
  const auto values = empirical_values(letters(3), train, f, options);
  const Tensor x = rows_of({{.5, 1, 9}});
  double total = 0, sum = 0;
  for (std::int64_t i = 0; i < 4; ++i) {
    const double a = .5 - train.ptr<float>()[3 * i], b = 1 - train.ptr<float>()[3 * i + 1];
    const double w = std::exp(-(a * a / (4. / 3) + b * b / 12) / 2 / (2 * .49));
    total += w;
    sum += w * static_cast<double>(i);
  }
  const CoalitionValues v = values_of(*values, x, masks_of({{1, 1, 0}}));
  CHECK(element(v.value, 0) == doctest::Approx(sum / total).epsilon(1e-5));  // the ridge
}

TEST_CASE("empirical: twin columns, a missing value") {
  Tensor train({50, 3});
  for (std::int64_t r = 0; r < 50; ++r) {
    const auto a = static_cast<float>(std::sin(static_cast<double>(r)));
    train.ptr<float>()[3 * r] = train.ptr<float>()[3 * r + 1] = a;
    train.ptr<float>()[3 * r + 2] = static_cast<float>(r);
  }
  const CallablePredictor f = predictor(3, [](const float* x) { return x[2]; });
  BaselineOptions options;
  options.mass = 1;
  const auto values = empirical_values(letters(3), train, f, options);
  const Tensor x = rows_of({{.3f, .3f, 0}, {.3f, missing, 0}});
  const CoalitionValues v = values_of(*values, x, masks_of({{1, 1, 0}, {1, 0, 0}}));
  CHECK(element(v.value, 2) == element(v.value, 3));  // what is missing is unknown
  CHECK(element(v.value, 1) == element(v.value, 3));
  // The twin says nothing new, but D^2 / |S| halves the distance.
  options.bandwidth = .1 * std::sqrt(2.);
  const CoalitionValues wide =
      values_of(*empirical_values(letters(3), train, f, options), x, masks_of({{1, 0, 0}}));
  CHECK(element(v.value, 0) == doctest::Approx(element(wide.value, 0)).epsilon(1e-4));
}

TEST_CASE("values do not depend on threads or on how explicands and coalitions are cut") {
  for (const std::int64_t rows : {1, 31, 300}) {
    const Tensor train = random_rows(rows, 3, 1);
    Tensor x = random_rows(35, 3, 2);
    x.ptr<float>()[7] = missing;
    x.ptr<float>()[60] = missing;
    const CallablePredictor f = predictor(3, wiggly);
    const Tensor masks = all_masks(3);
    CHECK(independent_of_cuts(*independence_values(letters(3), train, f, options_of(32, 8)), x, masks));
    CHECK(independent_of_cuts(*empirical_values(letters(3), train, f, {}), x, masks));
  }
}

TEST_CASE("one column, and more than a word of them") {
  for (const std::int64_t columns : {1, 31, 32, 33}) {
    CAPTURE(columns);
    const Tensor train = random_rows(50, columns, 1), x = random_rows(3, columns, 2);
    Tensor masks({7, columns});
    Generator random({3, RandomPurpose::test});
    for (std::int64_t i = 0; i < masks.elements(); ++i)
      masks.ptr<float>()[i] = random.uniform() < .5 ? 1.f : 0.f;
    const CallablePredictor f = predictor(columns, [columns](const float* row) {
      double sum = 0;
      for (std::int64_t c = 0; c < columns; ++c) sum += static_cast<double>(c + 1) * row[c];
      return sum;
    });
    CHECK(independent_of_cuts(*independence_values(letters(columns), train, f, options_of(16, 8)), x, masks));
    const auto empirical = empirical_values(letters(columns), train, f, {});
    CHECK(independent_of_cuts(*empirical, x, masks));
    // An explicand that is a training row is its own nearest neighbour.
    Tensor own({1, columns}), first({1, columns});
    for (std::int64_t c = 0; c < columns; ++c) {
      own.ptr<float>()[c] = train.ptr<float>()[c];
      first.ptr<float>()[c] = c + 1 < columns || columns == 1 ? 1.f : 0.f;
    }
    BaselineOptions sharp;
    sharp.bandwidth = 1e-4;
    const CoalitionValues v = values_of(*empirical_values(letters(columns), train, f, sharp), own, first);
    double truth = 0;
    for (std::int64_t c = 0; c < columns; ++c) truth += static_cast<double>(c + 1) * own.ptr<float>()[c];
    CHECK(element(v.value, 0) == doctest::Approx(truth).epsilon(1e-5));
  }
}

TEST_CASE("no rows, no coalitions") {
  const Tensor train = random_rows(20, 3, 1);
  const CallablePredictor f = predictor(3, wiggly);
  for (const auto& values : {independence_values(letters(3), train, f, options_of(8, 8)),
                             empirical_values(letters(3), train, f, {})}) {
    CHECK(values_of(*values, Tensor({0, 3}), all_masks(3)).value.elements() == 0);
    CHECK(values_of(*values, random_rows(2, 3, 5), Tensor({0, 3})).value.elements() == 0);
  }
}

TEST_CASE("scratch memory has a bound that does not grow with the call") {
  const Tensor train = random_rows(5000, 4, 3);
  const CallablePredictor f = predictor(4, wiggly);
  BaselineOptions options = options_of(128, 8);
  const auto independence = independence_values(letters(4), train, f, options);
  const auto empirical = empirical_values(letters(4), train, f, options);
  CHECK(independence->scratch_bytes() > 0);
  CHECK(empirical->scratch_bytes() > independence->scratch_bytes());
  options.most_rows = 100;
  const auto few = empirical_values(letters(4), train, f, options);
  CHECK(few->evaluations() == 100);
  CHECK(few->scratch_bytes() < empirical->scratch_bytes());
  CHECK(same_bits(
      values_of(*few, random_rows(2, 4, 9), all_masks(4)).value,
      values_of(*empirical_values(letters(4), train, f, options), random_rows(2, 4, 9), all_masks(4)).value));
}

TEST_CASE("what they refuse") {
  const Tensor train = random_rows(20, 3, 1);
  const CallablePredictor f = predictor(3, wiggly), other = predictor(2, wiggly);
  CHECK_THROWS_AS(independence_values(letters(3), train, f, options_of(12, 8)), ConfigError);
  CHECK_THROWS_AS(independence_values(letters(3), train, f, options_of(0, 1)), ConfigError);
  CHECK_THROWS_AS(independence_values(letters(3), train, other, options_of(8, 8)), ConfigError);
  CHECK_THROWS_AS(independence_values(letters(2), train, other, options_of(8, 8)), ConfigError);
  CHECK_THROWS_AS(empirical_values(letters(3), train, f, with_kernel(0, .95)), ConfigError);
  CHECK_THROWS_AS(empirical_values(letters(3), train, f, with_kernel(.1, 1.5)), ConfigError);
  CHECK_THROWS_AS(empirical_values(letters(3), train, f, with_kernel(.1, .95, -1)), ConfigError);
  CHECK_THROWS_AS(empirical_values(letters(3), rows_of({{1, missing, 2}, {missing, 1, 1}}), f, {}),
                  DataError);
  CHECK_THROWS_AS(empirical_values(letters(3), rows_of({{1, INFINITY, 2}}), f, {}), DataError);
  const auto values = independence_values(letters(3), train, f, options_of(8, 8));
  CHECK_THROWS_AS(values_of(*values, rows_of({{1, 2}}), masks_of({{1, 0}})), ShapeError);
  CHECK_THROWS_WITH_AS(values_of(*values, rows_of({{1, 2, 3}, {1, INFINITY, 3}}), masks_of({{1, 0, 0}})),
                       doctest::Contains("column 'b' of data row 1"), DataError);
  StopToken stop;
  stop.request_stop();
  TeamPool pool(1);
  CoalitionValues out;
  const Tensor x = random_rows(1, 3, 4), masks = all_masks(3);
  CHECK_THROWS_AS(values->evaluate(pool, {x, {}}, masks, out, &stop), Interrupted);
  CHECK_THROWS_AS(empirical_values(letters(3), train, f, {})->evaluate(pool, {x, {}}, masks, out, &stop),
                  Interrupted);
}
