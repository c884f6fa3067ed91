// The explainer on games of known Shapley values.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "emshap/core/error.h"
#include "emshap/explain/explainer.h"
#include "explain/games.h"

using namespace emshap;
using test::Game;
using test::TableNoise;
using test::TableValues;

namespace {

constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

std::vector<std::string> names(std::int64_t count) {
  std::vector<std::string> out;
  for (std::int64_t j = 0; j < count; ++j) out.push_back("x" + std::to_string(j));
  return out;
}

/// A game on `columns` columns whose unknown ones count 0: f(x) = g(x), v(S, x) = g(x_S, 0). With background
/// 0 phi is that of the game v.
float g(std::span<const float> x) {
  double y = 1, sum = 0;
  for (const float one : x) sum += one;
  for (std::size_t j = 0; j < x.size(); ++j)
    y += (static_cast<double>(j) + 1) * x[j] + (j + 1 < x.size() ? .5 * x[j] * x[j + 1] : 0);
  return static_cast<float>(y + x[0] * x[x.size() / 2] * x[x.size() - 1] + 2 * std::sin(sum));
}

/// f, v, players and the background of this game.
struct Setting {
  std::int64_t D;
  TableValues values;
  CallablePredictor f;
  Tensor background;
  explicit Setting(std::int64_t columns, TableNoise noise = {})
      : D(columns),
        values(
            names(columns),
            [](std::span<const std::uint8_t> known, std::span<const float> x) {
              std::vector<float> z(x.size());
              for (std::size_t j = 0; j < x.size(); ++j) z[j] = known[j] != 0 ? x[j] : 0.f;
              return static_cast<double>(g(z));
            },
            noise),
        f(columns,
          [](ConstTensorView raw, TensorView y) {
            for (std::int64_t r = 0; r < raw.rows(); ++r)
              y.ptr<float>()[r] =
                  g({raw.ptr<float>() + r * raw.row_stride(), static_cast<std::size_t>(raw.cols())});
          }),
        background(Tensor::zeros({2, columns})) {}

  Tensor rows(std::int64_t count) const {
    Generator random({.seed = 3, .purpose = RandomPurpose::test});
    Tensor x({count, D});
    for (std::int64_t i = 0; i < x.elements(); ++i) x.ptr<float>()[i] = static_cast<float>(random.normal());
    return x;
  }
  Explainer explainer(TeamPool& pool, const ExplainOptions& options = {}) const {
    return Explainer(values, f, Players::single(values.columns()), background, options, pool);
  }
  /// By the definition, on the table of all coalitions of a row.
  std::vector<double> truth(const float* x) const {
    Game game{D, std::vector<double>(std::size_t{1} << D)};
    std::vector<float> z(static_cast<std::size_t>(D));
    for (std::size_t b = 0; b < game.value.size(); ++b) {
      for (std::size_t j = 0; j < z.size(); ++j) z[j] = (b >> j & 1) != 0 && !std::isnan(x[j]) ? x[j] : 0.f;
      game.value[b] = g(z);
    }
    return game.shapley();
  }
};

double at(const Tensor& matrix, std::int64_t r, std::int64_t c) {
  return matrix.ptr<double>()[r * matrix.cols() + c];
}

bool same_bits(const Tensor& a, std::int64_t row_a, const Tensor& b, std::int64_t row_b) {
  for (std::int64_t c = 0; c < a.cols(); ++c)
    if (std::bit_cast<std::uint64_t>(at(a, row_a, c)) != std::bit_cast<std::uint64_t>(at(b, row_b, c)))
      return false;
  return true;
}

}  // namespace

TEST_SUITE("explainer") {
  TEST_CASE("few players: all coalitions, the definition's values, efficiency, no errors") {
    for (const std::int64_t D : {2, 3, 6}) {
      CAPTURE(D);
      const Setting s(D);
      TeamPool pool(2);
      Explainer e = s.explainer(pool);
      const Tensor x = s.rows(5);
      e.choose_coalitions(pool, x);
      CHECK(e.exact());
      CHECK(e.coalitions().size() == 1 << D);
      CHECK(e.phi0() == 1);
      const Attributions a = e.explain(pool, {x, {}});
      for (std::int64_t r = 0; r < 5; ++r) {
        const std::vector<double> truth = s.truth(x.ptr<float>() + r * D);
        double sum = e.phi0();
        for (std::int64_t j = 0; j < D; ++j) {
          CHECK(at(a.phi, r, j) == doctest::Approx(truth[static_cast<std::size_t>(j)]).epsilon(1e-9));
          CHECK(at(a.standard_error, r, j) == 0);
          sum += at(a.phi, r, j);
        }
        CHECK(std::abs(sum - a.prediction[static_cast<std::size_t>(r)]) < 1e-10);
        CHECK(a.converged[static_cast<std::size_t>(r)] == 1);
        CHECK(a.missing[static_cast<std::size_t>(r)] == 0);
        CHECK(std::isinf(a.effective_min[static_cast<std::size_t>(r)]));
      }
    }
  }

  TEST_CASE("same bits for any number of threads and any cut of the rows") {
    const Setting s(15, {.sd = .05});
    Tensor x = s.rows(9);
    for (const std::int64_t hole : {3, 20, 21, 60}) x.ptr<float>()[hole] = nan_value;
    TeamPool one(1), three(3);
    ExplainOptions options;
    options.budget = 200;
    Explainer e = s.explainer(one, options);
    e.choose_coalitions(one, x);
    CHECK_FALSE(e.exact());
    CHECK(e.coalitions().size() >= 200);
    const Attributions all = e.explain(one, {x, {}});
    Explainer again = s.explainer(three, options);
    again.choose_coalitions(three, x);
    std::int64_t begin = 0;
    for (const std::int64_t count : {4, 1, 0, 4}) {
      std::vector<std::int64_t> numbers;
      for (std::int64_t r = begin; r < begin + count; ++r) numbers.push_back(r);
      const Attributions part = again.explain(three, {x.view().rows(begin, count), numbers});
      for (std::int64_t r = 0; r < count; ++r) {
        CHECK(same_bits(part.phi, r, all.phi, begin + r));
        CHECK(same_bits(part.standard_error, r, all.standard_error, begin + r));
        CHECK(same_bits(part.values, r, all.values, begin + r));
      }
      begin += count;
    }
  }

  TEST_CASE("a missing player takes no part; with none left the row is the mean") {
    const std::int64_t D = 4;
    const Setting s(D);
    TeamPool pool(1);
    Explainer e = s.explainer(pool);
    Tensor x = s.rows(4);
    x.ptr<float>()[1] = nan_value;                                             // one of row 0
    for (const std::int64_t c : {0, 1, 3}) x.ptr<float>()[D + c] = nan_value;  // all but one of row 1
    for (std::int64_t c = 0; c < D; ++c) x.ptr<float>()[2 * D + c] = nan_value;
    e.choose_coalitions(pool, x);
    const Attributions a = e.explain(pool, {x, {}});
    for (const std::int64_t r : {0, 1, 3}) {
      const std::vector<double> truth = s.truth(x.ptr<float>() + r * D);
      for (std::int64_t j = 0; j < D; ++j)
        CHECK(at(a.phi, r, j) == doctest::Approx(truth[static_cast<std::size_t>(j)]).epsilon(1e-9));
    }
    CHECK(at(a.phi, 0, 1) == 0);
    CHECK(at(a.phi, 1, 2) == doctest::Approx(a.prediction[1] - e.phi0()).epsilon(1e-12));
    CHECK(a.prediction[2] == e.phi0());
    for (std::int64_t j = 0; j < D; ++j) CHECK(at(a.phi, 2, j) == 0);
    CHECK(a.missing == std::vector<std::uint8_t>{1, 1, 1, 0});
    CHECK(std::isnan(a.msev[0]));
    CHECK_FALSE(std::isnan(a.msev[3]));
  }

  TEST_CASE("many patterns of missing values within little memory, and rows beside much scratch memory") {
    const std::int64_t D = 7;
    Setting s(D);
    TeamPool pool(1);
    Tensor x = s.rows(40);
    for (std::int64_t r = 0; r < 40; ++r)
      for (std::int64_t c = 0; c < D; ++c)
        if (((r + 1) >> c & 1) != 0) x.ptr<float>()[r * D + c] = nan_value;
    Explainer much = s.explainer(pool);
    ExplainOptions options;
    options.memory_limit = 50000;
    Explainer little = s.explainer(pool, options);
    s.values.scratch = options.memory_limit;
    much.choose_coalitions(pool, x);
    little.choose_coalitions(pool, x);
    CHECK(little.rows_at_once() >= 2);
    const Attributions a = much.explain(pool, {x, {}}), b = little.explain(pool, {x, {}});
    for (std::int64_t r = 0; r < 40; ++r) CHECK(same_bits(a.phi, r, b.phi, r));
  }

  TEST_CASE("one player gets everything, none leaves nothing to explain") {
    const Setting s(1);
    TeamPool pool(1);
    Explainer e = s.explainer(pool);
    const Tensor x = Tensor::from<float>({2, nan_value}, {2, 1});
    e.choose_coalitions(pool, x);
    const Attributions a = e.explain(pool, {x, {}});
    CHECK(at(a.phi, 0, 0) == a.prediction[0] - e.phi0());
    CHECK(at(a.phi, 1, 0) == 0);
    CHECK(a.prediction[1] == e.phi0());
    CHECK(a.converged[0] == 1);

    Explainer nobody(s.values, s.f, {{}, {}, 1}, s.background, {}, pool);
    nobody.choose_coalitions(pool, x);
    const Attributions none = nobody.explain(pool, {x.view().rows(0, 1), {}});
    CHECK(none.phi.cols() == 0);
    CHECK(none.prediction[0] == doctest::Approx(g(std::vector<float>{2.f})));
    CHECK(GlobalImportance(nobody).sage().empty());
  }

  TEST_CASE("a constant model has phi 0 and has converged at once") {
    const std::int64_t D = 14;
    const TableValues values(names(D), [](auto, auto) { return 7.; });
    const CallablePredictor f(
        D, [](ConstTensorView raw, TensorView y) { std::fill_n(y.ptr<float>(), raw.rows(), 7.f); });
    const Setting s(D);
    TeamPool pool(1);
    ExplainOptions options;
    options.strategy = CoalitionStrategy::kernel;
    Explainer e(values, f, Players::single(names(D)), s.background, options, pool);
    e.choose_coalitions(pool, s.rows(40));
    CHECK(e.coalitions().size() <= 4 * D + 2);
    const Attributions a = e.explain(pool, {s.rows(2), {}});
    for (std::int64_t j = 0; j < D; ++j) CHECK(std::abs(at(a.phi, 0, j)) < 1e-12);
    CHECK(a.converged[0] == 1);
  }

  TEST_CASE("the pilot doubles until the median row has converged") {
    const Setting s(14);
    TeamPool pool(1);
    ExplainOptions options;
    options.strategy = CoalitionStrategy::kernel;
    std::vector<std::int64_t> sizes;
    for (const double tolerance : {.2, .002, 1e-9}) {
      options.tolerance = tolerance;
      Explainer e = s.explainer(pool, options);
      e.choose_coalitions(pool, s.rows(60));
      sizes.push_back(e.coalitions().size());
      if (tolerance < .1) continue;
      // The same choice again, and a row's share of errors below the tolerance.
      Explainer again = s.explainer(pool, options);
      again.choose_coalitions(pool, s.rows(60));
      CHECK(again.coalitions().hash() == e.coalitions().hash());
      int converged = 0;
      const Attributions a = e.explain(pool, {s.rows(60), {}});
      for (const std::uint8_t c : a.converged) converged += c;
      CHECK(converged >= 20);
    }
    CHECK(sizes[0] < sizes[1]);
    CHECK(sizes[1] < sizes[2]);
    CHECK(sizes[2] == 1 << 14);
  }

  TEST_CASE("the pilot stops where the noise outweighs what more coalitions could give") {
    const Setting s(14, {.sd = 3});
    TeamPool pool(1);
    ExplainOptions options;
    options.strategy = CoalitionStrategy::kernel;
    Explainer e = s.explainer(pool, options);
    e.choose_coalitions(pool, s.rows(60));
    CHECK(e.coalitions().size() < 4096);
    const Attributions a = e.explain(pool, {s.rows(3), {}});
    for (std::int64_t j = 0; j < 14; ++j) {
      CHECK(at(a.noise_error, 0, j) > 0);
      CHECK(at(a.standard_error, 0, j) ==
            doctest::Approx(std::hypot(at(a.noise_error, 0, j), at(a.sampling_error, 0, j))));
    }
    CHECK(a.converged[0] == 0);
  }

  TEST_CASE("the budget: given, below M + 1, and of another game") {
    const Setting s(12);
    TeamPool pool(1);
    ExplainOptions options;
    options.budget = 12;
    Explainer e = s.explainer(pool, options);
    CHECK_THROWS_AS(e.coalitions(), ConfigError);
    CHECK_THROWS_AS(e.explain(pool, {s.rows(1), {}}), ConfigError);
    CHECK_THROWS_AS(e.choose_coalitions(pool, s.rows(1)), ConfigError);
    CHECK_THROWS_AS(e.use_coalitions(Coalitions::make(3, CoalitionStrategy::exact, 8, 1)), ConfigError);
    options.budget = 100;
    options.strategy = CoalitionStrategy::leverage;
    Explainer other = s.explainer(pool, options);
    other.choose_coalitions(pool, s.rows(1));
    CHECK(other.coalitions().strategy == CoalitionStrategy::leverage);
    options.memory_limit = 1;
    CHECK(s.explainer(pool, options).options().memory_limit == 1);
    CHECK(other.rows_at_once() > 1000);
  }

  TEST_CASE("what does not fit is refused") {
    const Setting s(3), wide(4);
    TeamPool pool(1);
    const Players players = Players::single(names(3));
    CHECK_THROWS_AS(Explainer(s.values, wide.f, players, s.background, {}, pool), ConfigError);
    CHECK_THROWS_AS(Explainer(s.values, s.f, Players::single(names(4)), s.background, {}, pool), ConfigError);
    CHECK_THROWS_AS(Explainer(s.values, s.f, players, wide.background, {}, pool), DataError);
    const Tensor holes = Tensor::from<float>({nan_value, 1, 1}, {1, 3});
    CHECK_THROWS_AS(Explainer(s.values, s.f, players, holes, {}, pool), DataError);
    Explainer e = s.explainer(pool);
    e.choose_coalitions(pool, s.rows(1));
    CHECK_THROWS_AS(e.explain(pool, {wide.rows(1), {}}), DataError);
  }

  TEST_CASE("global importance: means, SAGE of a linear game, MSEv, and going on from saved sums") {
    const std::int64_t D = 3;
    const auto linear = [](std::span<const float> x) { return 2.f * x[0] - x[1]; };
    const TableValues values(names(D), [&](std::span<const std::uint8_t> known, std::span<const float> x) {
      std::vector<float> z(x.size());
      for (std::size_t j = 0; j < x.size(); ++j) z[j] = known[j] != 0 ? x[j] : 0.f;
      return static_cast<double>(linear(z));
    });
    const CallablePredictor f(D, [&](ConstTensorView raw, TensorView y) {
      for (std::int64_t r = 0; r < raw.rows(); ++r)
        y.ptr<float>()[r] = linear({raw.ptr<float>() + r * D, static_cast<std::size_t>(D)});
    });
    const Setting s(D);
    TeamPool pool(1);
    Explainer e(values, f, Players::single(names(D)), s.background, {}, pool);
    // Uncorrelated columns of mean 0: SAGE is each term's mean square.
    const Tensor x = Tensor::from<float>({1, 1, 5, 1, -1, 5, -1, 1, 5, -1, -1, 5}, {4, D});
    e.choose_coalitions(pool, x);
    GlobalImportance all(e), first(e), second(e);
    all.add(e.explain(pool, {x, {}}), {});
    CHECK(all.rows() == 4);
    CHECK(all.mean_absolute()[0] == doctest::Approx(2));
    CHECK(all.mean_absolute()[1] == doctest::Approx(1));
    CHECK(std::abs(all.mean()[0]) < 1e-12);
    CHECK(all.sage()[0] == doctest::Approx(4));
    CHECK(all.sage()[1] == doctest::Approx(1));
    CHECK(std::abs(all.sage()[2]) < 1e-12);
    // (f - v)^2 over the six inner coalitions of each row: 1 + 4 + 5 + 0 + 4 + 1, over rows of (2a - b).
    CHECK(all.msev() == doctest::Approx(all.row_msev()[0] / 4 + all.row_msev()[1] / 4 +
                                        all.row_msev()[2] / 4 + all.row_msev()[3] / 4));
    first.add(e.explain(pool, {x.view().rows(0, 2), {}}), {});
    second.restore(first.state());
    second.add(e.explain(pool, {x.view().rows(2, 2), {}}), {});
    CHECK(second.state() == all.state());
    CHECK_THROWS_AS(second.restore(std::vector<double>(3)), IoError);
    // Against a target that f misses by 1 everywhere, and one row without it.
    GlobalImportance target(e);
    target.add(e.explain(pool, {x, {}}), std::vector<float>{2, 4, 0, nan_value});
    CHECK(target.sage()[2] == doctest::Approx(0).epsilon(1e-12));
  }
}
