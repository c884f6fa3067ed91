// CSV and JSON lines: cells, times, further columns, lines that are wrong.
#include <string>

#include <doctest/doctest.h>

#include "emshap/core/error.h"
#include "record_support.h"

using namespace emshap;
using namespace emshap::stream;
using namespace emshap::test;

namespace {

Batch csv(const std::string& text, RecordOptions options = {}) {
  return read_all(text, RecordFormat::csv, std::move(options));
}
Batch json(const std::string& text) {
  return read_all(text, RecordFormat::jsonl);
}

void check_line(const Batch& batch, std::size_t rejected, std::int64_t offset, Reason reason,
                const std::string& words, const std::string& bytes) {
  REQUIRE(batch.rejected.size() > rejected);
  const Rejected& r = batch.rejected[rejected];
  CAPTURE(bytes);
  CHECK(r.offset == offset);
  CHECK(std::string(to_string(r.reason)) == to_string(reason));
  CHECK_MESSAGE(r.detail.find(words) != std::string::npos, r.detail);
  CHECK(r.bytes == bytes);
}

}  // namespace

TEST_SUITE("record reader text") {
  TEST_CASE("csv: columns in any order, quotes, blanks, blank lines, CRLF, byte-order mark, last line") {
    const std::string text =
        "\xEF\xBB\xBFgpu_util, node_id ,time,\"cpu_util\"\r\n"
        "\r\n"
        " 1.5 ,\"a, \"\"b\"\"\",1735689600,NA\r\n"
        "  \n"
        "-,\"NA\",1735689601,2\n"
        "3,n,1735689602,4";
    RecordOptions options;
    CHECK(csv(text, options).samples.size() == 2);
    options.last_line = true;
    const Batch batch = csv(text, options);
    CHECK(batch.rejected.empty());
    REQUIRE(batch.samples.size() == 3);
    CHECK(batch.samples[0].node_id == "a, \"b\"");
    CHECK(batch.samples[0].metrics[4] == 1.5f);
    CHECK(std::isnan(batch.samples[0].metrics[0]));
    CHECK(std::isnan(batch.samples[0].power_consumption));
    CHECK(batch.samples[1].node_id == "NA");
    CHECK(std::isnan(batch.samples[1].metrics[4]));
    CHECK(batch.samples[2].metrics[0] == 4);
  }

  TEST_CASE("csv: every wrong line is rejected alone") {
    const std::string lines[] = {"1735689600,n,1",
                                 "1735689600,n,abc",
                                 "1735689600,n",
                                 "1735689600,n,1,2",
                                 "noon,n,1",
                                 ",n,1",
                                 "1735689600,,1",
                                 "1735689600,NA,1",
                                 "1735689600,n,-1",
                                 "1735689600,n,inf",
                                 "1735689600,n,1e39",
                                 "1735689600,\"n,1",
                                 "1735689600,\"n\"x,1",
                                 std::string("1735689600,n\0,1", 15),
                                 "1735689600,\xff,1",
                                 "9999999999,n,1",
                                 "-5,n,1",
                                 "1735689600,n\r,1",
                                 "1735689600,n,2"};
    std::string text = "time,node_id,cpu_util\n";
    for (const std::string& line : lines) text += line + "\n";
    const Batch batch = csv(text);
    CHECK(batch.samples.size() == 2);
    std::size_t at = 0;
    const auto next = [&](Reason reason, const std::string& words) {
      check_line(batch, at, static_cast<std::int64_t>(at + 1), reason, words, lines[at + 1]);
      ++at;
    };
    next(Reason::not_a_message, "cpu_util: 'abc' is not a number");
    next(Reason::not_a_message, "2 cells, expected 3");
    next(Reason::not_a_message, "4 cells, expected 3");
    next(Reason::not_a_message, "time: 'noon' is not a time");
    next(Reason::no_time, "absent");
    next(Reason::no_node, "absent");
    next(Reason::no_node, "absent");
    next(Reason::negative_value, "cpu_util is -1");
    next(Reason::not_finite, "cpu_util is inf");
    next(Reason::not_finite, "cpu_util is inf");
    next(Reason::not_a_message, "column 2: a quote is open");
    next(Reason::not_a_message, "column 2: text follows a closing quote");
    next(Reason::not_a_message, "NUL byte");
    next(Reason::not_a_message, "not UTF-8");
    next(Reason::future_time, "later than now");
    next(Reason::no_time, "time is -5");
    next(Reason::no_node, "control character");
    CHECK(at == batch.rejected.size());
    CHECK(batch.samples.back().metrics[0] == 2);
  }

  TEST_CASE("csv: further columns are extra where they are numbers") {
    const Batch batch =
        csv("timestamp,node_id,zone,inlet\n1735689600,n,north,1.5\n1735689600,n,2,\n1735689600,n,,x\n");
    REQUIRE(batch.samples.size() == 3);
    CHECK(batch.samples[0].extra == R"({"inlet":1.5})");
    CHECK(batch.samples[1].extra == R"({"zone":2})");
    CHECK(batch.samples[2].extra.empty());
    const Batch wrong = csv("time,node_id,inlet\n1735689600,n,inf\n");
    check_line(wrong, 0, 0, Reason::not_finite, "inlet is inf", "1735689600,n,inf");
  }

  TEST_CASE("csv: other delimiters") {
    RecordOptions options;
    options.delimiter = '\t';
    CHECK(only(csv("time\tnode_id\tcpu_util\n1735689600\tn\t\n", options)).node_id == "n");
    options.delimiter = ';';
    CHECK(only(csv("time;node_id\n1735689600; n,m \n", options)).node_id == "n,m");
  }

  TEST_CASE("csv: headers that cannot be used") {
    for (const char* text :
         {"", "\n\n", "time,node_id", "node_id,cpu_util\n", "time,cpu_util\n", "time,node_id,a,a\n",
          "time,,node_id\n", "time,\"node_id\n", "\xFF\xFEt\0i\0", "time,node_id,\xff\n"}) {
      CAPTURE(text);
      CHECK_THROWS_AS(csv(text), DataError);
    }
    CHECK(csv("time,node_id\n").records() == 0);
  }

  TEST_CASE("times: integers, decimals and ISO 8601, in CSV and JSON") {
    const std::pair<const char*, std::int64_t> times[] = {{"1735689600", 1735689600},
                                                          {"1735689600.75", 1735689600},
                                                          {"2025-01-01", 1735689600},
                                                          {"2025-01-01T00:00:05Z", 1735689605},
                                                          {"2025-01-01 01:00:00.5+01:00", 1735689600}};
    for (const auto& [text, seconds] : times) {
      CAPTURE(text);
      CHECK(only(csv(std::string("time,node_id\n") + text + ",n\n")).time == seconds);
      CHECK(only(json(std::string("{\"time\": \"") + text + "\", \"node_id\": \"n\"}\n")).time == seconds);
    }
    CHECK(only(json("{\"time\": 1735689600.75, \"node_id\": \"n\"}\n")).time == 1735689600);
    check_line(csv("time,node_id\n1969-12-31T23:59:59.5Z,n\n"), 0, 0, Reason::no_time, "time is -1",
               "1969-12-31T23:59:59.5Z,n");
    for (const char* late : {"18446744073709551615", "9223372036854775808", "1e300"}) {
      const std::string line = std::string("{\"time\": ") + late + ", \"node_id\": \"n\"}";
      check_line(json(line + "\n"), 0, 0, Reason::future_time, "9223372036854775807", line);
    }
    const std::string early = "{\"time\": -1e300, \"node_id\": \"n\"}";
    check_line(json(early + "\n"), 0, 0, Reason::no_time, "time is -", early);
  }

  TEST_CASE("json: null is absent, further numbers are extra, inside extra and beside it") {
    const Sample s =
        only(json("{\"time\": 1735689600, \"node_id\": \"\\u03b1\", \"cpu_util\": null, \"mem_util\": 0, "
                  "\"zone\": \"north\", \"b\": 2, \"a\": 1, \"extra\": {\"c\": 3, \"b\": 4, \"d\": null}}"));
    CHECK(s.node_id == "\xCE\xB1");
    CHECK(std::isnan(s.metrics[0]));
    CHECK(s.metrics[1] == 0);
    CHECK(s.extra == R"({"a":1,"b":4,"c":3})");
  }

  TEST_CASE("json: every wrong line is rejected alone") {
    const std::string head = "{\"time\": 1735689600, \"node_id\": \"n\"";
    const std::tuple<std::string, Reason, const char*> lines[] = {
        {"nonsense", Reason::not_a_message, "does not parse as JSON"},
        {head, Reason::not_a_message, "does not parse as JSON"},
        {head + "} x", Reason::not_a_message, "does not parse as JSON"},
        {head + ", \"cpu_util\": NaN}", Reason::not_a_message, "does not parse as JSON"},
        {head + ", \"x\": \"\xff\"}", Reason::not_a_message, "does not parse as JSON"},
        {"[1, 2]", Reason::not_a_message, "a JSON array, expected an object"},
        {head + ", \"cpu_util\": \"5\"}", Reason::not_a_message, "cpu_util: string is not a number"},
        {head + ", \"power_consumption\": true}", Reason::not_a_message, "boolean is not a number"},
        {head + ", \"extra\": [1]}", Reason::not_a_message, "extra is a JSON array"},
        {head + ", \"extra\": {\"a\": \"1\"}}", Reason::not_a_message, "a: string is not a number"},
        {"{\"time\": true, \"node_id\": \"n\"}", Reason::not_a_message, "time is not a time"},
        {"{\"time\": \"soon\", \"node_id\": \"n\"}", Reason::not_a_message, "time is not a time"},
        {"{\"time\": 1735689600, \"node_id\": 7}", Reason::not_a_message, "node_id is not a text"},
        {"{\"time\": 1735689600}", Reason::no_node, "absent"},
        {"{}", Reason::no_node, "absent"},
        {"{\"time\": null, \"node_id\": \"n\"}", Reason::no_time, "absent"},
        {head + ", \"cpu_util\": 1e39}", Reason::not_finite, "cpu_util is inf"},
        {head + ", \"cpu_util\": -2}", Reason::negative_value, "cpu_util is -2"},
        {head + ", \"a\\u0001\": 2}", Reason::not_a_message, "control character"},
        {std::string(20000, '['), Reason::not_a_message, "does not parse as JSON"}};
    std::string text;
    for (const auto& [line, reason, words] : lines) text += line + "\n\n";
    const Batch batch = json(text + head + "}\n");
    CHECK(batch.samples.size() == 1);
    CHECK(batch.rejected.size() == std::size(lines));
    for (std::size_t i = 0; i < std::size(lines); ++i)
      check_line(batch, i, static_cast<std::int64_t>(i), std::get<1>(lines[i]), std::get<2>(lines[i]),
                 std::get<0>(lines[i]));
    CHECK(json("").records() == 0);
    CHECK_THROWS_AS(json(std::string("\xFF\xFE{\0", 4)), DataError);
  }

  TEST_CASE("json: a last line without end that is no whole object waits, unless it is asked for") {
    const auto reader = reader_of("{\"time\": 17356", RecordFormat::jsonl);
    Batch batch;
    CHECK(!reader->next(10, test_now, batch));
    CHECK(reader->tail()->bytes == 14);
    RecordOptions options;
    options.last_line = true;
    CHECK(read_all("{\"time\": 17356", RecordFormat::jsonl, options).rejected.size() == 1);
  }
}
