#include <cmath>
#include <map>
#include <set>
#include <string>

#include <doctest/doctest.h>

#include "emshap/core/error.h"
#include "emshap/stream/feature_vector.h"
#include "emshap/stream/message_generator.h"
#include "stream/producer_pace.h"

using namespace emshap;
using namespace emshap::stream;

namespace {

constexpr std::int64_t now = 1'790'000'000;

HostSimulatorOptions hosts(std::int64_t rows) {
  HostSimulatorOptions options;
  options.rows = rows;
  options.nodes = 5;
  options.missing = .05;
  options.seed = 11;
  return options;
}

}  // namespace

TEST_SUITE("message generator") {
  TEST_CASE("good messages decode to the simulator's samples, with missing cells absent") {
    MessageGenerator generator(hosts(300), 0);
    HostSimulator simulator(hosts(300));
    Decoder decoder{Acceptance{}};
    Batch batch;
    std::vector<HostSample> expected(300);
    REQUIRE(simulator.next(expected) == 300);
    std::int64_t n = 0, absent = 0;
    for (GeneratedMessage message; generator.next(message); ++n) {
      CHECK_FALSE(message.fate);
      decoder.decode(message.bytes, 3, n, now, batch);
    }
    REQUIRE(n == 300);
    REQUIRE(batch.samples.size() == 300);
    for (std::size_t r = 0; r < 300; ++r) {
      const Sample &got = batch.samples[r], want = to_sample(expected[r]);
      CHECK(got.time == want.time);
      CHECK(got.node_id == want.node_id);
      CHECK(got.power_consumption == want.power_consumption);
      for (std::size_t m = 0; m < metric_count; ++m) {
        CHECK(std::isnan(got.metrics[m]) == std::isnan(want.metrics[m]));
        if (!std::isnan(got.metrics[m])) CHECK(got.metrics[m] == want.metrics[m]);
        absent += std::isnan(got.metrics[m]) ? 1 : 0;
      }
    }
    CHECK(absent > 100);
  }

  TEST_CASE("a spoiled message meets the fate that was foretold") {
    for (const double poison : {.02, .5, 1.}) {
      MessageGenerator generator(hosts(3000), poison);
      Decoder decoder{Acceptance{}};
      std::map<Reason, std::int64_t> kinds;
      std::set<std::string> good;
      std::int64_t spoiled = 0;
      for (GeneratedMessage message; generator.next(message);) {
        Batch batch;
        decoder.decode(message.bytes, 0, 0, now, batch);
        spoiled += message.fate ? 1 : 0;
        if (message.fate) ++kinds[*message.fate];
        if (!message.fate) {
          REQUIRE(batch.samples.size() == 1);
          CHECK(good.insert(message.bytes).second);
        } else if (message.fate == Reason::repeated) {
          CHECK(good.count(message.bytes) == 1);
        } else {
          REQUIRE(batch.rejected.size() == 1);
          CHECK(batch.rejected[0].reason == *message.fate);
        }
      }
      CHECK(std::abs(static_cast<double>(spoiled) - 3000 * poison) < 100);
      CHECK(kinds.size() == 7);
    }
  }

  TEST_CASE("what is spoiled depends on seed and row only") {
    MessageGenerator a(hosts(100), .3), b(hosts(900), .3);
    GeneratedMessage x, y;
    while (a.next(x)) {
      REQUIRE(b.next(y));
      CHECK(x.bytes == y.bytes);
      CHECK(x.fate == y.fate);
    }
    CHECK_THROWS_AS(MessageGenerator(hosts(1), 1.5), ConfigError);
    CHECK_THROWS_AS(MessageGenerator(hosts(1), std::nan("")), ConfigError);
    MessageGenerator none(hosts(0), .3);
    CHECK_FALSE(none.next(x));
  }

  TEST_CASE("hashes are those of FNV-1a") {
    CHECK(message_hash("") == 0xcbf29ce484222325u);
    CHECK(message_hash("a") == 0xaf63dc4c8601ec8cu);
    CHECK(message_hash("foobar") == 0x85944171f73967e8u);
  }
}

TEST_SUITE("producer pace") {
  TEST_CASE("a partition is too far ahead until the group commits") {
    ProducerPace pace(2, 100'000);
    std::int64_t offset = 0;
    while (!pace.too_far(1)) {
      pace.sent(1, 930);  // 1,000 with what Kafka adds
      pace.acknowledged(1, offset++, 930);
    }
    CHECK(offset == 101);
    CHECK_FALSE(pace.too_far(0));
    pace.committed(1, 0);
    CHECK(pace.too_far(1));
    pace.committed(1, 50);
    CHECK_FALSE(pace.too_far(1));
    while (!pace.too_far(1)) {
      pace.sent(1, 930);
      pace.acknowledged(1, offset++, 930);
    }
    CHECK(offset > 130);
    CHECK(offset < 152);
  }
  TEST_CASE("what is not acknowledged counts, what failed does not") {
    ProducerPace pace(1, 9'999);
    for (int i = 0; i < 10; ++i) pace.sent(0, 930);
    CHECK(pace.too_far(0));
    pace.failed(0, 930);
    CHECK_FALSE(pace.too_far(0));
  }
  TEST_CASE("messages that were there before count until they are committed") {
    ProducerPace pace(1, 3 << 20);
    pace.found(0, 100'000, 20'000);
    CHECK(pace.too_far(0));
    pace.committed(0, 99'999);
    CHECK(pace.too_far(0));
    pace.committed(0, 100'000);
    CHECK_FALSE(pace.too_far(0));
  }
}
