// What is accepted, what is not and why, what absence means.
#include <limits>
#include <string>

#include <doctest/doctest.h>

#include "emshap/core/error.h"
#include "emshap/stream/feature_vector.h"
#include "message_support.h"

using namespace emshap;
using namespace emshap::stream;
using namespace emshap::test;

namespace {

constexpr float inf = std::numeric_limits<float>::infinity();

std::string message(const Sample& sample) {
  std::string bytes;
  encode(sample, bytes);
  return bytes;
}

}  // namespace

TEST_SUITE("feature vector") {
  TEST_CASE("a sample comes back, with its place") {
    Sample sample = full_sample();
    sample.extra = R"({"disk_temp":41.5,"inlet":-3})";
    const Sample got = only(decoded(message(sample)));
    check_equal(got, sample);
    CHECK(got.partition == 5);
    CHECK(got.offset == 77);
  }

  TEST_CASE("absent is not zero: each metric alone, zero and absent") {
    for (std::size_t m = 0; m < metric_count; ++m) {
      Sample sample = full_sample();
      sample.metrics.fill(not_measured);
      sample.metrics[m] = 0;
      check_equal(only(decoded(message(sample))), sample);
      sample.metrics.fill(0);
      sample.metrics[m] = not_measured;
      check_equal(only(decoded(message(sample))), sample);
    }
    Sample bare = full_sample();
    bare.metrics.fill(not_measured);
    bare.power_consumption = not_measured;
    check_equal(only(decoded(message(bare))), bare);
  }

  TEST_CASE("producers that leave out zeros: metrics become zero, the target never") {
    Acceptance zeros;
    zeros.absent = Absent::zero;
    const Sample got = only(decoded(minimal().number(4, 12.5f), zeros));
    CHECK(got.metrics[0] == 12.5f);
    for (std::size_t m = 1; m < metric_count; ++m) CHECK(got.metrics[m] == 0);
    CHECK(std::isnan(got.power_consumption));
    CHECK(parse_absent("zero") == Absent::zero);
    CHECK(parse_absent("missing") == Absent::missing);
    CHECK_THROWS_AS(parse_absent("none"), ConfigError);
  }

  TEST_CASE("every reason, with field and value") {
    check_rejected("\x08", Reason::not_a_message, "does not parse");
    check_rejected(Wire().integer(1, test_time), Reason::no_node, "absent or empty");
    check_rejected(Wire().integer(1, test_time).bytes(2, ""), Reason::no_node, "absent or empty");
    check_rejected(Wire().integer(1, test_time).bytes(2, std::string("a\0b", 3)), Reason::no_node, "control");
    check_rejected(Wire().integer(1, test_time).bytes(2, std::string(256, 'n')), Reason::no_node,
                   "256 bytes, expected at most 255");
    CHECK(only(decoded(Wire().integer(1, test_time).bytes(2, std::string(255, 'n')))).node_id.size() == 255);
    check_rejected(Wire().bytes(2, "n"), Reason::no_time, "absent or 0");
    check_rejected(Wire().integer(1, 0).bytes(2, "n"), Reason::no_time, "absent or 0");
    check_rejected(Wire().integer(1, -7).bytes(2, "n"), Reason::no_time, "time is -7");
    check_rejected(minimal().number(3, std::nanf("")), Reason::not_finite, "power_consumption is nan");
    check_rejected(minimal().number(3, -inf), Reason::not_finite, "power_consumption is -inf");
    check_rejected(minimal().number(3, -.5f), Reason::negative_value, "power_consumption is -0.5");
    check_rejected(minimal().bytes(30, extra_entry("ups", inf)), Reason::not_finite, "ups is inf");
    check_rejected(minimal().bytes(30, extra_entry("", 1)), Reason::not_a_message, "name in extra is empty");
    check_rejected(minimal().bytes(30, extra_entry("a\n", 1)), Reason::not_a_message, "control");
    for (std::size_t m = 0; m < metric_count; ++m) {
      const std::string name = metric_names[m];
      check_rejected(minimal().number(field_of(m), std::nanf("")), Reason::not_finite, name + " is nan");
      check_rejected(minimal().number(field_of(m), inf), Reason::not_finite, name + " is inf");
      if (name == "temp_cpu" || name == "temp_gpu")
        CHECK(only(decoded(minimal().number(field_of(m), -12))).metrics[m] == -12);
      else
        check_rejected(minimal().number(field_of(m), -1e-9f), Reason::negative_value, name + " is -1e-09");
    }
    // The unit of a further metric is unknown: it may be negative.
    CHECK(only(decoded(minimal().bytes(30, extra_entry("inlet", -4)))).extra == R"({"inlet":-4})");
  }

  TEST_CASE("times: the tolerance, wrong units, the ends of int64") {
    Acceptance strict;
    strict.future_seconds = 10;
    const auto at = [](std::int64_t time) { return Wire().integer(1, time).bytes(2, "n").str(); };
    CHECK(only(decoded(at(1), strict)).time == 1);
    CHECK(only(decoded(at(test_now + 10), strict)).time == test_now + 10);
    check_rejected(at(test_now + 11), Reason::future_time, "11 s later than now", strict);
    check_rejected(at(test_time * 1000), Reason::future_time, "perhaps milliseconds");
    check_rejected(at(test_time * 1'000'000), Reason::future_time, "perhaps microseconds");
    check_rejected(at(test_time * 1'000'000'000), Reason::future_time, "perhaps nanoseconds");
    check_rejected(at(std::numeric_limits<std::int64_t>::max()), Reason::future_time, "later than now");
    check_rejected(at(std::numeric_limits<std::int64_t>::min()), Reason::no_time, "-9223372036854775808");
    strict.future_seconds = std::numeric_limits<std::int64_t>::max();
    CHECK(decoded(at(std::numeric_limits<std::int64_t>::max()), strict).samples.size() == 1);
  }

  TEST_CASE("a list of nodes") {
    Acceptance some;
    some.nodes = {"n1", "n2"};
    CHECK(only(decoded(minimal(), some)).node_id == "n1");
    check_rejected(Wire().integer(1, test_time).bytes(2, "n3"), Reason::unknown_node,
                   "'n3' is not in the list", some);
  }

  TEST_CASE("the size of a message") {
    const std::string bytes = minimal().str();
    Acceptance small;
    small.most_bytes = static_cast<std::int64_t>(bytes.size());
    CHECK(decoded(bytes, small).samples.size() == 1);
    --small.most_bytes;
    check_rejected(bytes, Reason::too_large, "bytes, expected at most", small);
    small.most_bytes = 0;
    CHECK_THROWS_AS(Decoder{small}, ConfigError);
    small.most_bytes = std::int64_t{1} << 31;
    CHECK_THROWS_AS(Decoder{small}, ConfigError);
  }

  TEST_CASE("the first reason in the documented order is given") {
    Acceptance some;
    some.nodes = {"other"};
    some.most_bytes = 60;
    // Each message has all faults from its own on.
    const std::string values = Wire().number(4, -1).number(5, inf).str();
    const auto with = [&](std::int64_t time, const char* node) {
      return Wire().integer(1, time).bytes(2, node).raw(values).str();
    };
    check_rejected(Wire().raw(std::string(61, '\xff')), Reason::too_large, "61 bytes", some);
    check_rejected(with(-1, "") + "\xff", Reason::not_a_message, "parse", some);
    check_rejected(with(-1, ""), Reason::no_node, "", some);
    check_rejected(with(-1, "n"), Reason::no_time, "", some);
    check_rejected(with(test_now * 2, "n"), Reason::future_time, "", some);
    check_rejected(with(test_time, "n"), Reason::unknown_node, "", some);
    check_rejected(with(test_time, "other"), Reason::not_finite, "mem_util", some);
    check_rejected(Wire().integer(1, test_time).bytes(2, "other").number(4, -1), Reason::negative_value,
                   "cpu_util", some);
  }

  TEST_CASE("presence counts accepted messages, before absent metrics become zero") {
    Acceptance zeros;
    zeros.absent = Absent::zero;
    Decoder decoder(zeros);
    Batch batch;
    decoder.decode(minimal().number(4, 0).number(5, 3), 0, 0, test_now, batch);
    decoder.decode(minimal().number(4, 0).number(5, -3), 0, 1, test_now, batch);  // rejected
    decoder.decode(minimal().number(4, 1), 0, 2, test_now, batch);
    const Presence& p = decoder.presence();
    CHECK(p.messages == 2);
    CHECK(p.absent[0] == 0);
    CHECK(p.zero[0] == 1);
    CHECK(p.absent[1] == 1);
    CHECK(p.zero[1] == 0);
    CHECK(p.absent[2] == 2);
  }

  TEST_CASE("metrics whose producers may leave out zeros") {
    Presence p;
    p.messages = 1000;
    p.absent[3] = 100;
    p.absent[4] = 99;
    p.absent[5] = 500;
    p.zero[5] = 1;
    CHECK(perhaps_zero(p) == std::vector<std::string>{"net_io"});
    p.messages = 999;
    CHECK(perhaps_zero(p).empty());
  }

  TEST_CASE("extra is JSON with sorted keys, whatever the names") {
    Wire wire = minimal();
    for (const char* name : {"zeta", "a\"b\\c", "\xCE\xB1", "Alpha"}) wire.bytes(30, extra_entry(name, .1f));
    const Sample got = only(decoded(wire));
    CHECK(got.extra == "{\"Alpha\":0.1,\"a\\\"b\\\\c\":0.1,\"zeta\":0.1,\"\xCE\xB1\":0.1}");
    const Sample again = only(decoded(message(got)));
    CHECK(again.extra == got.extra);
  }

  TEST_CASE("encoding is deterministic, appends, and names what cannot be a message") {
    Sample sample = full_sample();
    sample.extra = R"({"b":1,"a":2})";
    std::string once = "x", twice;
    encode(sample, once);
    sample.extra = R"({"a":2,"b":1})";
    encode(sample, twice);
    CHECK(once == "x" + twice);
    sample.extra = "[1]";
    CHECK_THROWS_AS(encode(sample, twice), DataError);
    sample.extra = R"({"a":"b"})";
    CHECK_THROWS_AS(encode(sample, twice), DataError);
    sample.extra.clear();
    sample.node_id = "\xff";
    CHECK_THROWS_AS(encode(sample, twice), DataError);
  }

  TEST_CASE("samples of other formats pass the same checks") {
    Acceptance zeros;
    zeros.absent = Absent::zero;
    Decoder decoder(zeros);
    Batch batch;
    Sample sample = full_sample();
    sample.metrics[2] = not_measured;
    sample.extra = R"({"b":1.5,"a":2})";
    decoder.accept(sample, "line", test_now, batch);
    REQUIRE(batch.samples.size() == 1);
    CHECK(batch.samples[0].metrics[2] == 0);
    CHECK(batch.samples[0].extra == R"({"a":2,"b":1.5})");
    CHECK(decoder.presence().absent[2] == 1);
    sample.metrics[0] = -1;
    decoder.accept(sample, "line 2", test_now, batch);
    sample.extra = "{";
    decoder.accept(sample, "line 3", test_now, batch);
    sample.extra = R"({"a":1e39})";
    sample.metrics[0] = 1;
    decoder.accept(sample, "line 4", test_now, batch);
    sample.node_id = "\xff";
    decoder.accept(sample, "line 5", test_now, batch);
    CHECK(batch.samples.size() == 1);
    REQUIRE(batch.rejected.size() == 4);
    CHECK(batch.rejected[0].reason == Reason::negative_value);
    CHECK(batch.rejected[0].bytes == "line 2");
    CHECK(batch.rejected[1].reason == Reason::not_a_message);
    CHECK(batch.rejected[2].reason == Reason::not_finite);
    CHECK(batch.rejected[3].reason == Reason::not_a_message);
  }
}
