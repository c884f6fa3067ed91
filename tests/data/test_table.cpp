// Columns, presence, selections, hashes, NPY files and metrics.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "data_support.h"
#include "emshap/core/atomic_file.h"
#include "emshap/data/hash.h"
#include "emshap/data/metrics.h"
#include "emshap/data/npy.h"
#include "emshap/data/table.h"

using namespace emshap;
using namespace emshap::test;

TEST_CASE("column: presence at every size around a word") {
  for (const int size : {0, 1, 2, 63, 64, 65, 127, 128, 129, 200})
    for (const int first : {0, 1, 62, 63, 64, 65, 128, 500}) {
      Column c(ColumnSpec{"c", ColumnType::text, ColumnRole::group});
      for (int i = 0; i < size; ++i) {
        if (i >= first && i % 3 == 0) {
          c.push_missing();
        } else {
          c.push_text(std::to_string(i));
        }
      }
      Column twice(c.spec());
      twice.append(c);
      twice.append(c);
      std::int64_t missing = 0;
      for (int i = 0; i < size; ++i) {
        const bool expected = !(i >= first && i % 3 == 0);
        missing += expected ? 0 : 1;
        REQUIRE(c.present(i) == expected);
        REQUIRE(c.text(i) == (expected ? std::to_string(i) : ""));
        REQUIRE(twice.present(size + i) == expected);
        REQUIRE(twice.text(size + i) == c.text(i));
      }
      CHECK(c.missing() == missing);
      CHECK(twice.missing() == 2 * missing);
    }
  Column f(ColumnSpec{"f", ColumnType::f32, ColumnRole::feature});
  f.push_f32(std::numeric_limits<float>::quiet_NaN());
  CHECK(f.missing() == 1);
  CHECK_THROWS_AS(f.push_text("x"), DTypeError);
  CHECK_THROWS_AS(f.i64(), DTypeError);
}

TEST_CASE("table: select keeps cells and source rows, chunks of it read back") {
  ColumnSelection selection;
  selection.target = "y";
  selection.group = "g";
  std::string text = "a,g,y\n";
  for (int i = 0; i < 100; ++i)
    text +=
        (i % 7 == 0 ? "" : std::to_string(i)) + ",g" + std::to_string(i % 5) + "," + std::to_string(i) + "\n";
  const Table t = csv_table(text, selection);
  const std::vector<std::int64_t> rows{99, 0, 7, 8};
  const Table part = t.select(rows);
  CHECK(part.rows() == 4);
  CHECK(part.source_row(0) == 99);
  CHECK(part.column("y").f32()[3] == 8);
  CHECK_FALSE(part.column("a").present(2));
  CHECK(part.column("g").text(3) == "g3");
  TableSource source(t, 33);
  const Table again = read_all(source);
  CHECK(again.content_hash() == t.content_hash());
  CHECK_THROWS_AS(Table(std::vector<ColumnSpec>{{"a", ColumnType::f32, ColumnRole::feature},
                                                {"a", ColumnType::f32, ColumnRole::target}}),
                  DataError);
  CHECK_SAYS(error_text(ErrorKind::data, [&] { t.column("gg"); }), "did you mean 'g'?");
}

TEST_CASE("background rows: seeded, ascending, without repetition") {
  std::vector<std::int64_t> train(500);
  std::iota(train.begin(), train.end(), 1000);
  const auto rows = background_rows(train, 100, 1);
  CHECK(rows.size() == 100);
  CHECK(std::is_sorted(rows.begin(), rows.end()));
  CHECK(std::adjacent_find(rows.begin(), rows.end()) == rows.end());
  CHECK(rows.front() >= 1000);
  CHECK(rows == background_rows(train, 100, 1));
  CHECK(rows != background_rows(train, 100, 2));
  CHECK(background_rows(train, 1000, 1) == train);
  CHECK(background_rows({}, 10, 1).empty());
}

TEST_CASE("hash: words, numbers and texts") {
  const auto of = [](const std::vector<std::string>& texts) {
    Hash64 h;
    for (const auto& t : texts) h.text(t);
    return h.hex();
  };
  CHECK(of({"ab", "c"}) != of({"a", "bc"}));
  CHECK(of({"ab"}) != of({std::string("ab\0", 3)}));
  CHECK(of({}) == "cbf29ce484222325");
  Hash64 a, b;
  a.number(0.0);
  b.number(-0.0);
  CHECK(a.hex() != b.hex());
}

TEST_CASE("npy: a file written a few rows at a time is the same array") {
  const TemporaryFolder folder;
  const Tensor all = Tensor::from<float>({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {5, 2});
  NpyWriter<float> writer(folder / "rows.npy", 2);
  writer.write({});
  writer.write({all.ptr<float>(), 4});
  writer.write({all.ptr<float>() + 4, 6});
  CHECK(!std::filesystem::exists(folder / "rows.npy"));
  CHECK_THROWS_AS(writer.write({all.ptr<float>(), 3}), ShapeError);
  writer.commit();
  const Tensor back = read_npy(folder / "rows.npy");
  REQUIRE(back.shape() == all.shape());
  CHECK(std::equal(back.ptr<float>(), back.ptr<float>() + 10, all.ptr<float>()));
  NpyWriter<std::int32_t> vector(folder / "vector.npy", 0);
  const std::int32_t numbers[] = {7, -8, 9};
  vector.write(numbers);
  vector.commit();
  CHECK(read_npy(folder / "vector.npy").shape() == Shape{3});
  CHECK(read_npy(folder / "vector.npy").ptr<std::int32_t>()[1] == -8);
}

TEST_CASE("npy: written and read again; foreign files are refused") {
  const TemporaryFolder folder;
  const Tensor t = Tensor::from<float>({1, 2, 3, 4, 5, 6}, {3, 2});
  write_npy(folder / "t.npy", t);
  const std::string bytes = read_file(folder / "t.npy");
  CHECK(bytes.size() == 64 * 2 + 24);
  CHECK(bytes[127] == '\n');
  CHECK_SAYS(bytes, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }");
  const Tensor back = read_npy(folder / "t.npy");
  CHECK(back.shape() == Shape{3, 2});
  CHECK(back.ptr<float>()[5] == 6);
  write_npy(folder / "d.npy", Tensor::from<double>({.1}, {1}));
  CHECK(read_npy(folder / "d.npy").ptr<double>()[0] == .1);
  write_npy(folder / "e.npy", Tensor(Shape{0, 4}));
  CHECK(read_npy(folder / "e.npy").shape() == Shape{0, 4});

  const auto refused = [&](const std::string& content) {
    return error_text(ErrorKind::data, [&] { read_npy(folder.write("bad.npy", content)); });
  };
  CHECK_SAYS(refused(bytes.substr(0, bytes.size() - 1)), "bytes of values, expected 24");
  CHECK_SAYS(refused(bytes + "x"), "bytes of values, expected 24");
  CHECK_SAYS(refused(bytes.substr(0, 60)), "cut off");
  CHECK_SAYS(refused("hello"), "no .npy file");
  std::string other = bytes;
  other.replace(other.find("<f4"), 3, ">f4");
  CHECK_SAYS(refused(other), "is not read");
  other = bytes;
  other.replace(other.find("False"), 5, "True,");
  CHECK_SAYS(refused(other), "Fortran");
}

TEST_CASE("metrics: by hand, in blocks, and at the edges") {
  const std::vector<float> target{0, 2, 4, 8}, prediction{1, 2, 3, 10};
  const RegressionMetrics m = regression_metrics(prediction, target);
  CHECK(m.rows == 4);
  CHECK(m.mse == doctest::Approx(6. / 4));
  CHECK(m.rmse == doctest::Approx(std::sqrt(1.5)));
  CHECK(m.mae == doctest::Approx(1));
  CHECK(m.r2 == doctest::Approx(1 - 6. / 35));
  CHECK(m.mape == doctest::Approx((0 + .25 + .25) / 3));
  CHECK(m.zero_targets == 1);
  CHECK_SAYS(m.to_json(), "\"zero_targets\": 1}");

  for (std::size_t cut = 0; cut <= 4; ++cut) {
    MetricsAccumulator a, b;
    a.add({prediction.data(), cut}, {target.data(), cut});
    b.add({prediction.data() + cut, 4 - cut}, {target.data() + cut, 4 - cut});
    a.merge(b);
    CHECK(a.result().r2 == doctest::Approx(m.r2).epsilon(1e-14));
    CHECK(a.result().mape == doctest::Approx(m.mape).epsilon(1e-14));
  }
  // A large mean does not cost the variance its digits.
  std::vector<float> far{16777210, 16777212, 16777214}, guess{16777210, 16777212, 16777216};
  CHECK(regression_metrics(guess, far).r2 == doctest::Approx(1 - 4. / 8));
  const RegressionMetrics none = regression_metrics({}, {});
  CHECK(std::isnan(none.mse));
  CHECK_SAYS(none.to_json(), "\"r2\": null");
  CHECK(std::isnan(regression_metrics(std::vector<float>{1, 2}, std::vector<float>{3, 3}).r2));
  CHECK_THROWS_AS(regression_metrics(target, far), ShapeError);
}

TEST_CASE("a matrix becomes a table of features: NaN is a missing cell, infinity is refused") {
  const float nan = std::nanf("");
  const Tensor rows = Tensor::from<float>({1, nan, 3, 4, 5, 6}, {3, 2});
  const Table table = table_of({"a", "b"}, rows);
  CHECK(table.rows() == 3);
  CHECK(table.feature_names() == std::vector<std::string>{"a", "b"});
  CHECK(table.column("b").missing() == 1);
  const Tensor back = raw_features(table, all_rows(table));
  for (const int i : {0, 2, 3, 4, 5}) CHECK(back.ptr<float>()[i] == rows.ptr<float>()[i]);
  CHECK(std::isnan(back.ptr<float>()[1]));
  CHECK(table_of({"a"}, Tensor({0, 1})).rows() == 0);
  CHECK_THROWS_AS(table_of({"a"}, rows), DataError);
  CHECK_THROWS_AS(table_of({"a", "b"}, Tensor::from<float>({1, HUGE_VALF}, {1, 2})), DataError);
}
