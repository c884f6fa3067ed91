// The wire format: frozen field numbers, other producers' bytes, damaged bytes.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <doctest/doctest.h>

#include "emshap/core/random.h"
#include "message_support.h"

using namespace emshap;
using namespace emshap::stream;
using namespace emshap::test;

namespace {

std::string golden() {
  std::ifstream file(std::filesystem::path(EMSHAP_TEST_DIR) / "golden" / "feature_vector.pb",
                     std::ios::binary);
  REQUIRE(file);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The golden message by hand.
std::string by_hand(const Sample& sample) {
  Wire wire;
  wire.integer(1, sample.time).bytes(2, sample.node_id).number(3, sample.power_consumption);
  for (std::size_t m = 0; m < metric_count; ++m) wire.number(field_of(m), sample.metrics[m]);
  return wire.bytes(30, extra_entry("disk_temp", 41.5f)).str();
}

Sample golden_sample() {
  Sample sample = full_sample();
  sample.extra = R"({"disk_temp":41.5})";
  return sample;
}

}  // namespace

TEST_SUITE("feature vector wire") {
  TEST_CASE("the frozen field numbers: protobuf's compiler, bytes by hand and encode() agree") {
    const Sample sample = golden_sample();
    check_equal(only(decoded(golden())), sample);
    CHECK(golden() == by_hand(sample));
    std::string encoded;
    encode(sample, encoded);
    CHECK(encoded == golden());
  }

  TEST_CASE("each field number alone") {
    for (std::size_t m = 0; m < metric_count; ++m) {
      const Sample got = only(decoded(minimal().number(field_of(m), 7.5f)));
      for (std::size_t k = 0; k < metric_count; ++k)
        CHECK(same_float(got.metrics[k], k == m ? 7.5f : not_measured));
    }
    CHECK(only(decoded(minimal().number(3, 9))).power_consumption == 9);
  }

  TEST_CASE("fields of newer producers are ignored, whatever their type, wherever they stand") {
    const std::string newer[] = {
        Wire().integer(24, -1).str(),
        Wire().fixed32(29, 5).str(),
        Wire().fixed64(31, 5).str(),
        Wire().bytes(1000, "later").str(),
        Wire().bytes(536870911, std::string(1000, '\xff')).str(),
        Wire().key(40, Wire::start_group).integer(1, 3).key(40, Wire::end_group).str()};
    const std::string known = by_hand(golden_sample());
    for (const std::string& field : newer) {
      check_equal(only(decoded(field + known)), golden_sample());
      check_equal(only(decoded(known + field)), golden_sample());
    }
    // An entry of extra with a field of its own.
    const std::string entry = extra_entry("a", 1) + Wire().integer(3, 9).str();
    CHECK(only(decoded(minimal().bytes(30, entry))).extra == R"({"a":1})");
  }

  TEST_CASE("producers with implicit presence: no zeros on the wire") {
    const Sample got = only(decoded(minimal().number(4, 50)));
    CHECK(got.metrics[0] == 50);
    CHECK(std::isnan(got.metrics[1]));
    // An entry of a map may leave out its value, which is then zero.
    CHECK(only(decoded(minimal().bytes(30, Wire().bytes(1, "a").str()))).extra == R"({"a":0})");
    check_rejected(minimal().bytes(30, Wire().number(2, 3).str()), Reason::not_a_message, "name in extra");
  }

  TEST_CASE("a field that stands twice: the last one counts") {
    const Sample got = only(decoded(Wire()
                                        .integer(1, 5)
                                        .bytes(2, "first")
                                        .number(4, -1)
                                        .bytes(30, extra_entry("a", 1))
                                        .integer(1, test_time)
                                        .bytes(2, "last")
                                        .number(4, 2)
                                        .bytes(30, extra_entry("a", 2))));
    CHECK(got.time == test_time);
    CHECK(got.node_id == "last");
    CHECK(got.metrics[0] == 2);
    CHECK(got.extra == R"({"a":2})");
  }

  TEST_CASE("a known field of another type is an unknown one, as protobuf has it") {
    check_rejected(Wire().fixed64(1, 5).bytes(2, "n"), Reason::no_time, "absent");
    check_rejected(Wire().integer(1, test_time).integer(2, 5), Reason::no_node, "absent");
    for (std::size_t m = 0; m < metric_count; ++m) {
      CHECK(std::isnan(only(decoded(minimal().integer(field_of(m), 5))).metrics[m]));
      CHECK(std::isnan(only(decoded(minimal().fixed64(field_of(m), 5))).metrics[m]));
      CHECK(std::isnan(only(decoded(minimal().bytes(field_of(m), "12.5"))).metrics[m]));
    }
    CHECK(only(decoded(minimal().number(30, 5))).extra.empty());
  }

  TEST_CASE("bytes that are no message") {
    const auto bad = [](std::string_view bytes) {
      check_rejected(bytes, Reason::not_a_message, "does not parse");
    };
    bad(Wire().integer(1, test_time).bytes(2, "\xff\xfe"));                 // not UTF-8
    bad(minimal().bytes(30, extra_entry("\xc0\x80", 1)));                   // nor this
    bad(minimal().key(0, Wire::varint_type).varint(1));                     // field 0
    bad(minimal().key(5, 6));                                               // no such type
    bad(minimal().key(40, Wire::start_group));                              // never ends
    bad(minimal().key(40, Wire::end_group));                                // never started
    bad(minimal().key(1, Wire::varint_type).raw(std::string(11, '\x80')));  // a varint without end
    bad(minimal().raw("\x0d"));
    bad("{\"time\": 1735689600, \"node_id\": \"n\"}");
    bad("time,node_id,power_consumption");
    for (const std::uint64_t length :
         {std::uint64_t{4}, std::uint64_t{1} << 20, (std::uint64_t{1} << 31) - 1, std::uint64_t{1} << 31,
          (std::uint64_t{1} << 32) - 1, std::uint64_t{1} << 32, ~std::uint64_t{0}}) {
      CAPTURE(length);
      bad(minimal().key(2, Wire::bytes_type).varint(length).raw("abc"));
      bad(minimal().key(30, Wire::bytes_type).varint(length).raw("abc"));
      bad(minimal().key(99, Wire::bytes_type).varint(length).raw("abc"));
    }
    std::string deep;
    for (int i = 0; i < 10000; ++i) deep += Wire().key(40, Wire::start_group).str();
    bad(minimal().raw(deep));
  }

  TEST_CASE("no bytes at all is a message without node") {
    check_rejected("", Reason::no_node, "absent");
  }

  TEST_CASE("cut at every byte: a sample only where a field ends") {
    const std::string whole = golden();
    std::size_t samples = 0;
    for (std::size_t n = 0; n < whole.size(); ++n) {
      const Batch batch = decoded(std::string_view(whole).substr(0, n));
      CHECK(batch.records() == 1);
      samples += batch.samples.size();
    }
    CHECK(samples == 22);  // after node_id, the target and each metric
  }

  TEST_CASE("random bytes: one outcome each, accepted ones pass the checks again") {
    Generator random({2024, RandomPurpose::test, 41});
    Decoder decoder({});
    Batch batch;
    for (int i = 0; i < 20000; ++i) {
      std::string bytes = i % 2 == 0 ? "" : minimal().str();
      const std::size_t count = random.below(40);
      for (std::size_t k = 0; k < count; ++k) bytes += static_cast<char>(random.below(256));
      batch.clear();
      decoder.decode(bytes, 0, i, test_now, batch);
      REQUIRE(batch.records() == 1);
      if (batch.samples.empty()) continue;
      std::string again;
      encode(batch.samples[0], again);
      check_equal(only(decoded(again)), batch.samples[0]);
    }
  }
}
