// What the CSV reader accepts, and that chunks and line endings do not matter.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "data/csv_values.h"
#include "data_support.h"

using namespace emshap;
using namespace emshap::test;

namespace {
const ColumnSelection y_target{
    .target = "y", .features = {}, .exclude = {}, .group = "", .time = "", .node_id = ""};

float number(const std::string& text) {
  float value = -99;
  CHECK_MESSAGE(parse_float(text, value) == CellError::none, text);
  return value;
}
}  // namespace

TEST_CASE("csv: numbers are the nearest float32") {
  for (const char* text : {"0",
                           "-0",
                           "1",
                           "0.1",
                           "16777215",
                           "16777217",
                           "1234567",
                           "9999999",
                           "0.000001",
                           "123.4567",
                           "1e10",
                           "-2.5E-3",
                           "3.4028234e38",
                           "1.17549435e-38",
                           "0.30000001192092896",
                           "12345678.9",
                           "1.",
                           "007",
                           "0.1000000000000000055511151231257827",
                           "4.7019774032891500318749461488889e-38"})
    CHECK_MESSAGE(number(text) == std::strtof(text, nullptr), text);
  CHECK(std::signbit(number("-0")));
  CHECK(number("+3.5") == 3.5f);
  CHECK(number("1e-400") == 0.0f);
  CHECK(number("-1e-400") == 0.0f);
  CHECK(number("0e999999999999999999999") == 0.0f);
  CHECK(number("1e-45") == std::strtof("1e-45", nullptr));
  CHECK(number(".5") == .5f);
  float value = 0;
  for (const char* text :
       {"", "-", "+", "+-1", "1,5", "0x10", "1e", "abc", "1 2", "nan", "--1", "1.2.3", "."})
    CHECK_MESSAGE(parse_float(text, value) == CellError::syntax, text);
  for (const char* text : {"inf", "-inf", "infinity", "INF"})
    CHECK(parse_float(text, value) == CellError::infinite);
  for (const char* text : {"1e39", "-3.5e38", "1e999999999999999999999", "1e400"})
    CHECK_MESSAGE(parse_float(text, value) == CellError::overflow, text);
}

TEST_CASE("csv: times") {
  const auto time = [](const std::string& text, TimeForm form = TimeForm::unknown) {
    std::int64_t value = -1;
    CHECK_MESSAGE(parse_time(text, form, value), text);
    return value;
  };
  CHECK(time("1735689600") == 1735689600);
  CHECK(time("-5") == -5);
  CHECK(time("1735689600.25") == 1735689600250000);
  CHECK(time("-1.5") == -1500000);
  CHECK(time("1970-01-01") == 0);
  CHECK(time("2025-01-01T00:00:00Z") == 1735689600000000);
  CHECK(time("2025-01-01 01:30:00.123456789+01:30") == 1735689600123456);
  CHECK(time("2024-02-29 23:59") == 1709251140000000);
  std::int64_t value = 0;
  for (const char* text : {"", "x", "2025-02-29", "2025-13-01", "2025-01-01T25:00", "2025-01-01T00:00:00+",
                           "1e9", "1.", "99999999999999999999", "2025-01-01T00:00:00Zx"}) {
    TimeForm form = TimeForm::unknown;
    CHECK_MESSAGE(!parse_time(text, form, value), text);
  }
}

TEST_CASE("csv: quotes, blanks, CRLF, BOM, blank lines and a last line without its end") {
  const std::string text =
      "\xEF\xBB\xBF\"a\" , \"b \"\"x\"\"\nand y\",y\r\n"
      " 1,\t2.5 ,3\r\n"
      "\r\n"
      "   \n"
      "\"4\",\"\",6\n"
      "NA,-,\"9\"";
  const Table t = csv_table(text, y_target);
  CHECK(t.rows() == 3);
  CHECK(t.feature_names() == std::vector<std::string>{"a", "b \"x\"\nand y"});
  CHECK(t.column("a").f32()[0] == 1);
  CHECK(t.columns()[1].f32()[0] == 2.5f);
  CHECK(t.column("a").f32()[1] == 4);
  CHECK(t.columns()[1].missing() == 2);
  CHECK_FALSE(t.column("a").present(2));
  CHECK(std::isnan(t.column("a").f32()[2]));
  CHECK(t.column("y").f32()[2] == 9);
  CHECK(t.provenance().skipped_count("blank line") == 2);
  CHECK(t.provenance().skipped[0].places == std::vector<std::int64_t>{4, 5});
  CHECK(t.provenance().rows_read == 3);
}

TEST_CASE("csv: any chunk size and any piece of bytes give the same table and hash") {
  std::string text = "x,label,y\n";
  for (int i = 0; i < 200; ++i)
    text += std::to_string(i * .37) + ",\"l \"\"" + std::string(static_cast<std::size_t>(i % 90), 'q') +
            "\"\"\n" + std::to_string(i) + "\"," + std::to_string(i) + "\n";
  ColumnSelection selection = y_target;
  selection.group = "label";
  const Table whole = csv_table(text, selection);
  CHECK(whole.rows() == 200);
  CHECK(whole.column("label").text(3) == "l \"qqq\"\n3");
  for (const std::size_t chunk : {1UL, 7UL, 64UL, 257UL, 5000UL})
    for (const std::size_t piece : {1UL, 3UL, 64UL}) {
      CsvOptions options;
      options.chunk_bytes = chunk;
      CsvSource source = csv_source(text, selection, options, piece);
      const Table table = read_all(source);
      CHECK(table.content_hash() == whole.content_hash());
      CHECK(table.provenance().data_hash == whole.provenance().data_hash);
    }
}

TEST_CASE("csv: the data hash ignores line ends and roles, and sees every cell") {
  const std::string text = "a,b,y\n1,2,3\n4,5,6\n";
  const std::string hash = csv_table(text, y_target).provenance().data_hash;
  CHECK(hash.size() == 16);
  CHECK(csv_table("a,b,y\r\n1,2,3\r\n4,5,6", y_target).provenance().data_hash == hash);
  ColumnSelection other;
  other.target = "a";
  other.exclude = {"b"};
  CHECK(csv_table(text, other).provenance().data_hash == hash);
  CHECK(csv_table("a,b,y\n1,2,3\n4,5,7\n", y_target).provenance().data_hash != hash);
  CHECK(csv_table("a,b,y\n4,5,6\n1,2,3\n", y_target).provenance().data_hash != hash);
  CHECK(csv_table("a,c,y\n1,2,3\n4,5,6\n", y_target).provenance().data_hash != hash);
  // Of known bits, so that the definition does not change unseen.
  CHECK(csv_table("x,y\n0.5,1\n", y_target).provenance().data_hash == "4685ff27a4f154c1");
}

TEST_CASE("csv: roles, column order and options") {
  const std::string text = "t;host;b;a;y\n10;n1;1;2;3\n20;;4;5;6\n";
  ColumnSelection selection = y_target;
  selection.features = {"a", "b"};
  selection.time = "t";
  selection.node_id = "host";
  CsvOptions options;
  options.delimiter = ';';
  options.missing = {"", "4"};
  const Table t = csv_table(text, selection, {}, options);
  CHECK(t.feature_names() == std::vector<std::string>{"a", "b"});
  CHECK(t.only(ColumnRole::time)->i64()[1] == 20);
  CHECK(t.only(ColumnRole::node_id)->text(0) == "n1");
  CHECK_FALSE(t.only(ColumnRole::node_id)->present(1));
  CHECK(t.column("b").missing() == 1);
  const Tensor raw = raw_features(t, all_rows(t));
  CHECK(raw.shape() == Shape{2, 2});
  CHECK(raw.ptr<float>()[0] == 2);
  CHECK(raw.ptr<float>()[1] == 1);
}

TEST_CASE("csv: rows without target or feature are dropped by policy, counted, and keep their number") {
  const std::string text = "a,b,y\n1,2,3\n,2,3\n1,2,NA\n4,,6\n7,8,9\n";
  RowPolicy policy;
  policy.target = MissingTarget::drop;
  Table t = csv_table(text, y_target, policy);
  CHECK(t.rows() == 4);
  CHECK(t.provenance().skipped_count("missing target") == 1);
  CHECK(t.provenance().skipped[0].places == std::vector<std::int64_t>{4});
  CHECK(t.source_row(1) == 1);
  CHECK(t.source_row(2) == 3);
  policy.feature = MissingFeature::drop;
  t = csv_table(text, y_target, policy);
  CHECK(t.rows() == 2);
  CHECK(t.provenance().skipped_count("missing feature") == 2);
  CHECK(t.source_row(1) == 4);
  CHECK(t.provenance().rows_read == 5);
}

TEST_CASE("csv: written and read again, everything is the same") {
  ColumnSelection selection = y_target;
  selection.group = "g";
  selection.time = "t";
  const std::string text =
      "x,\"g\",t,y\n0.1,\" "
      "a\",5,1\n,\"b,\"\"c\"\"\nd\",-6,-0\n3.4028235e38,\"NA\",7,1e-45\n1e-8,,,16777216\n5,\"\",9,2\n";
  const Table t = csv_table(text, selection);
  std::string written;
  CsvWriter writer([&](std::string_view part) { written += part; });
  writer.write(t);
  const Table again = csv_table(written, selection);
  CHECK(again.content_hash() == t.content_hash());
  CHECK(again.only(ColumnRole::group)->text(2) == "NA");
  CHECK(again.only(ColumnRole::group)->missing() == 1);

  ColumnSelection single;
  const Table column = csv_table("x\n1\nNA\n3\n", single);
  written.clear();
  CsvWriter other([&](std::string_view part) { written += part; });
  other.write(column);
  CHECK(written == "x\n1\nNA\n3\n");
}
