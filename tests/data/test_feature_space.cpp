// Feature spaces: kinds of columns, tiles, codes, both directions, draws, missing values.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "emshap/train/feature_layout_of.h"
#include "space_support.h"

using namespace emshap;
using namespace emshap::test;

namespace {

/// c continuous, z with 79 % zeros, b an indicator, k constant, m with missing cells, d twice c.
Table mixed(int rows) {
  std::vector<double> c = normals(rows, 11), z, b, k, m, d;
  for (int i = 0; i < rows; ++i) {
    z.push_back(i % 100 < 79 ? 0 : i % 7 + 1);
    b.push_back(i % 3 == 0);
    k.push_back(5);
    m.push_back(i % 4 == 1 ? absent : std::exp(c[static_cast<std::size_t>(i)] + i % 5));
    d.push_back(c[static_cast<std::size_t>(i)]);
  }
  return table_of({{"c", c}, {"z", z}, {"b", b}, {"k", k}, {"m", m}, {"d", d}});
}

const FeatureTransform both[] = {FeatureTransform::standardise, FeatureTransform::quantile};

}  // namespace

TEST_CASE("feature space: kinds of columns") {
  const Table t = mixed(2000);
  for (const auto transform : both) {
    const FeatureSpace s = fitted(t, transform);
    CHECK(s.transform() == transform);
    CHECK(s.input_names() == std::vector<std::string>{"c", "z", "b", "k", "m", "d"});
    CHECK(s.feature_names() == std::vector<std::string>{"c", "z", "b", "m", "d"});
    REQUIRE(s.features() == 5);
    CHECK(s.columns()[0].kind == FeatureKind::continuous);
    CHECK(s.columns()[1].kind == FeatureKind::categorical);
    CHECK(s.columns()[2].kind == FeatureKind::categorical);
    CHECK(s.columns()[3].kind == FeatureKind::continuous);
    CHECK(s.columns()[3].may_be_missing);
    CHECK(!s.columns()[0].may_be_missing);
    CHECK(s.columns()[2].values == std::vector<double>{0, 1});
    CHECK(s.columns()[2].frequencies[1] == doctest::Approx(667 / 2000.).epsilon(1e-15));
    CHECK(s.columns()[0].values.empty());

    FeatureSpaceOptions options;
    options.max_categories = 0;
    CHECK(fitted(t, transform, options).columns()[2].kind == FeatureKind::tied);
    options = {};
    options.rows_per_category = 1001;
    CHECK(fitted(t, transform, options).columns()[2].kind == FeatureKind::tied);
    options = {};
    options.ties = false;
    const FeatureSpace untied = fitted(t, transform, options);
    for (const FeatureColumn& c : untied.columns()) CHECK(c.kind == FeatureKind::continuous);

    const FeatureLayout layout = feature_layout(s);
    CHECK(layout.categories == std::vector<std::int64_t>{0, 8, 2, 0, 0});
    CHECK(layout.values[8] == s.to_model(2, 0));
    CHECK(layout.values[9] == s.to_model(2, 1));
    CHECK(layout.frequencies[9] == s.columns()[2].frequencies[1]);
  }
}

TEST_CASE("feature space: a column is tied when more than 5 % of its rows share their value") {
  for (const int pairs : {25, 26}) {
    std::vector<double> v;
    for (int i = 0; i < 1000; ++i) v.push_back(i < 2 * pairs ? i / 2 : i);
    const FeatureSpace s = fitted(table_of({{"v", v}}), FeatureTransform::standardise);
    CHECK(s.columns()[0].kind == (pairs == 25 ? FeatureKind::continuous : FeatureKind::tied));
  }
}

TEST_CASE("feature space: a fine grid without frequent values is continuous") {
  for (const int values : {8192, 8193}) {
    std::vector<double> v;
    for (int i = 0; i < 2 * values; ++i) v.push_back(i / 2);
    const auto kind = [&] {
      return fitted(table_of({{"v", v}}), FeatureTransform::quantile).columns()[0].kind;
    };
    CHECK(kind() == (values == 8192 ? FeatureKind::tied : FeatureKind::continuous));
    v.insert(v.end(), 200, 0);  // more than 1 %
    CHECK(kind() == FeatureKind::tied);
  }
}

TEST_CASE("feature space: tiles by hand") {
  // Values 0, 1, 3, 10, 11: distances to the nearest other 1, 1, 2, 1, 1, so delta = 1.
  std::vector<double> v;
  for (const double value : {0., 1., 3., 10., 11.})
    for (int i = 0; i < 4; ++i) v.push_back(value);
  const Table t = table_of({{"v", v}});
  for (const auto transform : both) {
    const FeatureSpace s = fitted(t, transform);
    const FeatureColumn& c = s.columns()[0];
    REQUIRE(c.kind == FeatureKind::tied);
    CHECK(c.delta == 1);
    CHECK(c.left == std::vector<double>{-.5, .5, 2.5, 9.5, 10.5});
    CHECK(c.right == std::vector<double>{.5, 1.5, 3.5, 10.5, 11.5});
    const auto check = [&](double raw, double left, double right) {
      const Tile tile = s.tile(0, raw);
      CHECK(tile.left == s.to_model(0, left));
      CHECK(tile.right == s.to_model(0, right));
      CHECK(tile.log_width == doctest::Approx(std::log((right - left) / c.sd)).epsilon(1e-14));
    };
    check(3, 2.5, 3.5);
    check(0, -.5, .5);
    check(1.25, 1.125, 1.75);  // not seen: gaps .25 and 1.75
    check(6, 5.5, 6.5);        // far from both neighbours
    check(-4, -4.5, -3.5);     // outside the range
    check(11.5, 11.25, 12);
  }
}

TEST_CASE("feature space: the tile of a continuous value carries the Jacobian") {
  const Table t = table_of({{"v", exponentials(2000, 21)}});
  for (const auto transform : both) {
    const FeatureSpace s = fitted(t, transform);
    for (const double raw : {-.3, .01234, .5, 2., 30.}) {
      const Tile tile = s.tile(0, raw);
      CHECK(tile.left == s.to_model(0, raw));
      CHECK(tile.right == tile.left);
      const double h = 1e-7, sd = s.columns()[0].sd;
      const double slope = (s.to_model(0, raw + h * sd) - s.to_model(0, raw - h * sd)) / (2 * h);
      CHECK(tile.log_width == doctest::Approx(-std::log(slope)).epsilon(1e-6).scale(1));
    }
  }
}

TEST_CASE("feature space: exact values, codes and missing entries") {
  const Table t = mixed(1500);
  const Tensor raw = raw_features(t, all_rows(t));
  for (const auto transform : both) {
    const FeatureSpace s = fitted(t, transform);
    const Converted c = converted(s, raw);
    for (std::int64_t r = 0; r < t.rows(); ++r) {
      const auto cell = [&](const char* name) {
        return static_cast<double>(t.column(name).f32()[static_cast<std::size_t>(r)]);
      };
      REQUIRE(c.at(r, 0) == s.to_model(0, cell("c")));
      REQUIRE(std::abs(s.to_raw(0, c.at(r, 0)) - cell("c")) <= 1e-12);
      REQUIRE(c.category(r, 0) == -1);
      REQUIRE(c.category(r, 2) == (r % 3 == 0 ? 1 : 0));
      REQUIRE(s.columns()[1].values[static_cast<std::size_t>(c.category(r, 1))] == cell("z"));
      REQUIRE(c.seen(r, 3) == (r % 4 == 1 ? 0 : 1));
      if (r % 4 == 1) REQUIRE(c.at(r, 3) == 0);
      REQUIRE(c.at(r, 4) == c.at(r, 0));
    }
    // float32 out and no wish for the others; row strides are respected.
    Tensor wide({t.rows(), 8});
    s.to_model(raw, wide.view().columns(2, 5), {}, {});
    CHECK(wide.ptr<float>()[3 * 8 + 2] == static_cast<float>(c.at(3, 0)));
    // A value not seen takes the nearest category.
    const Tensor odd = Tensor::from(std::vector<double>{0, 0, .4, 5, absent, 0, 0, 6.6, 7, 5, 1, 0}, {2, 6});
    const Converted unseen = converted(s, odd);
    CHECK(unseen.category(0, 2) == 0);
    CHECK(unseen.category(1, 2) == 1);
    CHECK(unseen.category(1, 1) == 7);
    CHECK(unseen.at(0, 2) == s.to_model(2, .4));
  }
}

TEST_CASE("feature space: a value may be missing where the table, not only its training rows, lacks some") {
  const Table t = table_of({{"a", {1, 2, 4, absent}}, {"b", {1, 5, 2, 7}}});
  const std::vector<std::int64_t> train{0, 1, 2};
  const FeatureSpace s = FeatureSpace::fit(t, train, {}, {});
  CHECK(s.columns()[0].may_be_missing);
  CHECK(!s.columns()[1].may_be_missing);
  CHECK(converted(s, raw_features(t, all_rows(t))).seen(3, 0) == 0);
}

TEST_CASE("feature space: dequantised values") {
  std::vector<double> z = drawn(900, 31, [](Generator& g) { return std::floor(-9 * std::log(g.uniform())); });
  for (std::size_t i = 0; i < z.size(); ++i)
    if (i % 9 == 0) z[i] = static_cast<double>(100 + i);  // many values, each seldom
  const Table t = table_of({{"z", z}, {"c", normals(900, 32)}, {"b", drawn(900, 33, [](Generator& g) {
                                                                  return static_cast<double>(g.below(3));
                                                                })}});
  const Tensor raw = raw_features(t, all_rows(t));
  const RandomKey key{7, RandomPurpose::dequantise, 0, 12};
  for (const auto transform : both) {
    const FeatureSpace s = fitted(t, transform);
    REQUIRE(s.columns()[0].kind == FeatureKind::tied);
    REQUIRE(s.columns()[2].kind == FeatureKind::categorical);
    const Converted exact = converted(s, raw), noisy = converted(s, raw, &key, all_rows(t));
    Tensor back({t.rows(), 3}, DType::f64);
    CHECK(s.to_raw(noisy.x, back) == 0);
    double sum = 0, squares = 0;
    for (std::int64_t r = 0; r < t.rows(); ++r) {
      const double value = static_cast<double>(static_cast<float>(z[static_cast<std::size_t>(r)]));
      const Tile tile = s.tile(0, value);
      REQUIRE(noisy.at(r, 0) > tile.left);
      REQUIRE(noisy.at(r, 0) < tile.right);
      REQUIRE(back.ptr<double>()[r * 3] == value);
      REQUIRE(noisy.at(r, 1) == exact.at(r, 1));
      REQUIRE(noisy.at(r, 2) == exact.at(r, 2));
      REQUIRE(noisy.category(r, 2) == exact.category(r, 2));
      const double left = s.to_raw(0, tile.left), right = s.to_raw(0, tile.right);
      const double u = (s.to_raw(0, noisy.at(r, 0)) - left) / (right - left);
      sum += u;
      squares += u * u;
    }
    CHECK(sum / 900 == doctest::Approx(.5).epsilon(.05));
    CHECK(squares / 900 == doctest::Approx(1. / 3).epsilon(.08));

    // By key and row number, not by the place in the call.
    const std::vector<std::int64_t> rows{700, 3, 3, 20};
    const Tensor some = raw_features(t, rows);
    const Converted again = converted(s, some, &key, rows);
    for (std::size_t i = 0; i < rows.size(); ++i)
      CHECK(again.at(static_cast<std::int64_t>(i), 0) == noisy.at(rows[i], 0));
    RandomKey other = key;
    other.step = 13;
    CHECK(converted(s, some, &other, rows).at(0, 0) != again.at(0, 0));
    const std::vector<std::int64_t> moved{701, 3, 3, 20};
    CHECK(converted(s, some, &key, moved).at(0, 0) != again.at(0, 0));
    // Nothing is taken from the heap by tensors.
    Converted room = converted(s, some);
    const std::int64_t before = allocation_count();
    s.to_model_dequantised(some, key, rows, room.x, room.observed, room.code);
    CHECK(allocation_count() == before);
  }
}

TEST_CASE("feature space: draws are put on the grid, on categories and into the range") {
  std::vector<double> v, b;
  for (const double value : {0., 1., 3., 10., 11.})
    for (int i = 0; i < 40; ++i) {
      v.push_back(value);
      b.push_back(i % 2);
    }
  std::vector<double> c(200);
  std::iota(c.begin(), c.end(), 0);  // 0 ... 199
  FeatureSpaceOptions options;
  options.max_categories = 2;
  const FeatureSpace s = fitted(table_of({{"v", v}, {"k", std::vector<double>(200, 5)}, {"b", b}, {"c", c}}),
                                FeatureTransform::standardise, options);
  REQUIRE(s.columns()[0].kind == FeatureKind::tied);
  REQUIRE(s.columns()[1].kind == FeatureKind::categorical);
  const auto raw_of = [&](double dv, double db, double dc, std::int64_t clamped) {
    const Tensor x =
        Tensor::from(std::vector<double>{s.to_model(0, dv), s.to_model(1, db), s.to_model(2, dc)}, {1, 3});
    Tensor raw({1, 4}, DType::f64);
    CHECK(s.to_raw(x, raw) == clamped);
    CHECK(raw.ptr<double>()[1] == 5);
    return std::vector<double>{raw.ptr<double>()[0], raw.ptr<double>()[2], raw.ptr<double>()[3]};
  };
  CHECK(raw_of(.45, .2, 100, 0)[0] == 0);
  CHECK(raw_of(.55, .2, 100, 0)[0] == 1);
  CHECK(raw_of(1.9, .2, 100, 0)[0] == 1);  // between the tiles of 1 and 3
  CHECK(raw_of(2.1, .2, 100, 0)[0] == 3);
  CHECK(raw_of(11.9, .2, 100, 0)[0] == 11);
  CHECK(raw_of(-.9, .2, 100, 0)[0] == 0);
  CHECK(raw_of(50, .2, 100, 1)[0] == 11);
  CHECK(raw_of(0, .45, 100, 0)[1] == 0);
  CHECK(raw_of(0, .55, 100, 0)[1] == 1);
  CHECK(raw_of(0, 0, 215, 0)[2] == doctest::Approx(215).epsilon(1e-12));
  CHECK(raw_of(0, 0, 220, 1)[2] == doctest::Approx(199 + 19.9).epsilon(1e-12));
  CHECK(raw_of(0, 0, -1e9, 1)[2] == doctest::Approx(-19.9).epsilon(1e-12));
  const Tensor bad = Tensor::from(std::vector<double>{0, absent, 0}, {1, 3});
  Tensor raw({1, 4}, DType::f64);
  CHECK_SAYS(error_text(ErrorKind::numerical, [&] { s.to_raw(bad, raw); }), "row 0, feature 'b'");
}

TEST_CASE("feature space: what is refused") {
  const Table t = mixed(400);
  const FeatureSpace s = fitted(t, FeatureTransform::standardise);
  const auto refused = [&](std::vector<double> row) {
    std::vector<double> rows{0, 0, 0, 5, 1, 0};
    rows.insert(rows.end(), row.begin(), row.end());
    const Tensor raw = Tensor::from(rows, {2, 6});
    return error_text(ErrorKind::data, [&] { converted(s, raw); });
  };
  CHECK_SAYS(refused({0, 0, absent, 5, 1, 0}), "row 1, feature 'b': the value is missing, expected a number");
  CHECK_SAYS(refused({std::numeric_limits<double>::infinity(), 0, 0, 5, 1, 0}),
             "row 1, feature 'c': the value is inf");
  CHECK_SAYS(refused({0, 0, 0, 5, -std::numeric_limits<double>::infinity(), 0}),
             "feature 'm': the value is -inf");
  CHECK_SAYS(refused({1e300, 0, 0, 5, 1, 0}), "not far beyond the training range");
  const Tensor narrow({2, 5});
  CHECK_THROWS_AS(converted(s, narrow), ShapeError);
  const Tensor codes({2, 6}, DType::i32);
  CHECK_THROWS_AS(converted(s, codes), DTypeError);
  const RandomKey key{};
  const Tensor raw = raw_features(t, all_rows(t));
  CHECK_THROWS_AS(converted(s, raw, &key, {1, 2}), ShapeError);

  const Table empty = table_of({{"a", {1, 2, 3}}, {"b", {absent, absent, 3}}});
  const std::vector<std::int64_t> train{0, 1};
  CHECK_SAYS(error_text(ErrorKind::data, [&] { FeatureSpace::fit(empty, train, {}, {}); }),
             "feature 'b' has no value among the 2 training rows");
  const Table same = table_of({{"a", {1, 1, 1}}});
  CHECK_SAYS(error_text(ErrorKind::data, [&] { fitted(same, FeatureTransform::automatic); }),
             "none of the 1 features");
  CHECK_SAYS(error_text(ErrorKind::data, [&] { FeatureSpace::fit(t, {}, {}, {}); }),
             "there are no training rows");
  const Table infinite = table_of({{"a", {1, 2, std::numeric_limits<double>::infinity()}}});
  CHECK_SAYS(error_text(ErrorKind::data, [&] { fitted(infinite, FeatureTransform::quantile); }),
             "data row 3, feature 'a': the value is infinite");
  FeatureSpaceOptions options;
  options.rows_per_category = 0;
  CHECK_THROWS_AS(fitted(t, FeatureTransform::standardise, options), ConfigError);
  CHECK_SAYS(error_text(ErrorKind::usage, [] { parse_feature_transform("log"); }),
             "expected standardise, quantile or auto");
}

TEST_CASE("feature space: sizes from no row to many") {
  const FeatureSpace s = fitted(mixed(400), FeatureTransform::quantile);
  for (const int n : {0, 1, 2, 31, 32, 33, 257}) {
    const Table t = mixed(n);
    const Tensor raw = raw_features(t, all_rows(t));
    const Converted c = converted(s, raw);
    Tensor back({n, 6});
    s.to_raw(c.x, back);
    for (int r = 0; r < n; ++r)
      for (const int column : {1, 2, 3})
        REQUIRE(back.ptr<float>()[r * 6 + column] == raw.ptr<float>()[r * 6 + column]);
  }
}

TEST_CASE("feature space: the transform is chosen by a Gaussian's likelihood") {
  const std::vector<double> a = normals(1200, 41), b = normals(1200, 42), noise = normals(1200, 43);
  std::vector<double> skewed, straight;
  for (std::size_t i = 0; i < a.size(); ++i) {
    skewed.push_back(std::exp(2 * a[i]));
    straight.push_back(.8 * a[i] + .6 * noise[i]);
  }
  const Table plain = table_of({{"a", a}, {"b", straight}}), wild = table_of({{"a", skewed}, {"b", skewed}});
  std::vector<std::int64_t> train(1000), validation(200);
  std::iota(train.begin(), train.end(), 0);
  std::iota(validation.begin(), validation.end(), 1000);
  const FeatureSpace normal = FeatureSpace::fit(plain, train, validation, {});
  CHECK(normal.transform() == FeatureTransform::standardise);
  CHECK_SAYS(normal.notes()[0], "on 200 validation rows");
  const FeatureSpace lognormal = FeatureSpace::fit(wild, train, validation, {});
  CHECK(lognormal.transform() == FeatureTransform::quantile);
  CHECK(lognormal.options().transform == FeatureTransform::automatic);
  CHECK_SAYS(FeatureSpace::fit(wild, train, {}, {}).notes()[0], "on 1000 training rows");
  // Missing entries: the choice still stands on what is there.
  std::vector<double> gaps = skewed;
  for (std::size_t i = 0; i < gaps.size(); i += 3) gaps[i] = absent;
  const Table missing = table_of({{"a", gaps}, {"b", skewed}});
  const FeatureSpace with = FeatureSpace::fit(missing, train, validation, {});
  CHECK(with.transform() == FeatureTransform::quantile);
  CHECK_SAYS(with.notes()[1], "columns with missing training values: a (334 of 1000)");
}

#if __has_include(<nlohmann/json.hpp>)
TEST_CASE("feature space: JSON there and back, and files that are refused") {
  for (const auto transform :
       {FeatureTransform::standardise, FeatureTransform::quantile, FeatureTransform::automatic}) {
    const Table t = mixed(700);
    const FeatureSpace s = fitted(t, transform);
    const std::string text = s.to_json();
    const FeatureSpace read = FeatureSpace::from_json(text);
    CHECK(read.to_json() == text);
    CHECK(read.hash() == s.hash());
    CHECK(read.notes() == s.notes());
    CHECK(read.transform() == s.transform());
    CHECK(read.columns()[1].left == s.columns()[1].left);
    CHECK(read.columns()[1].right == s.columns()[1].right);
    CHECK(read.columns()[1].frequencies == s.columns()[1].frequencies);
    const Tensor raw = raw_features(t, all_rows(t));
    const RandomKey key{1, RandomPurpose::dequantise};
    const Converted a = converted(s, raw, &key, all_rows(t)), b = converted(read, raw, &key, all_rows(t));
    CHECK(std::equal(a.x.ptr<double>(), a.x.ptr<double>() + a.x.elements(), b.x.ptr<double>()));

    const auto refused = [&](const std::string& damaged) {
      return error_text(ErrorKind::data, [&] { FeatureSpace::from_json(damaged); });
    };
    const auto edited = [&](const std::string& from, const std::string& to) {
      std::string copy = text;
      const std::size_t at = copy.find(from);
      REQUIRE(at != std::string::npos);
      return refused(copy.replace(at, from.size(), to));
    };
    for (std::size_t cut = 0; cut < text.size() - 2; cut += text.size() / 17)
      CHECK_SAYS(refused(text.substr(0, cut)), "not valid JSON");
    CHECK_SAYS(refused("{}"), "\"format\" is missing");
    CHECK_SAYS(edited("emshap feature space", "another file"), "no feature space");
    CHECK_SAYS(edited("\"version\": 1", "\"version\": 2"), "version 2, expected 1");
    CHECK_SAYS(edited("\"ties\": true", "\"ties\": false"), "was the file edited?");
    CHECK_SAYS(edited("\"kind\": \"categorical\"", "\"kind\": \"odd\""), "column kind 'odd'");
    CHECK_SAYS(edited("\"kind\": \"categorical\"", "\"kind\": \"continuous\""),
               "do not fit a continuous one");
    CHECK_SAYS(edited("\"may_be_missing\": false", "\"may_be_missing\": 0"), "wrong type");
    CHECK_SAYS(edited("\"values\": [0.0, 1.0", "\"values\": [1.0, 0.0"), "out of order");
  }
}
#endif
