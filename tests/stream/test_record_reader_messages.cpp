// Framing of protobuf files: lengths, fields around the messages, damage.
#include <string>

#include <doctest/doctest.h>

#include "emshap/core/error.h"
#include "record_support.h"

using namespace emshap;
using namespace emshap::stream;
using namespace emshap::test;

namespace {

// The records before the damage are given, then every call throws.
void check_damaged(const std::string& text, RecordFormat format, std::int64_t records,
                   const std::string& words) {
  const auto reader = reader_of(text, format);
  Batch batch;
  if (records > 0) {
    REQUIRE(reader->next(100, test_now, batch));
    CHECK(batch.records() == records);
  }
  for (int again = 0; again < 2; ++again) {
    try {
      reader->next(100, test_now, batch);
      FAIL("nothing was thrown");
    } catch (const DataError& error) {
      const std::string what = error.what();
      CHECK_MESSAGE(what.find(words) != std::string::npos, what);
      CHECK(what.starts_with("f byte "));
    }
  }
  CHECK(reader->offset() == records);
}

}  // namespace

TEST_SUITE("record reader messages") {
  TEST_CASE("messages that are none are records of their own") {
    const std::string text =
        delimited("\xff\xff") + delimited(minimal()) + delimited("") + delimited(minimal());
    const Batch batch = read_all(text, RecordFormat::protobuf);
    REQUIRE(batch.rejected.size() == 2);
    CHECK(batch.rejected[0].reason == Reason::not_a_message);
    CHECK(batch.rejected[0].bytes == "\xff\xff");
    CHECK(batch.rejected[1].reason == Reason::no_node);
    CHECK(batch.rejected[1].offset == 2);
    CHECK(batch.samples.size() == 2);
  }

  TEST_CASE("lengths that are none end the reading, behind the records before") {
    const std::string good = delimited(minimal());
    check_damaged(good + Wire().varint(std::uint64_t{1} << 31).str(), RecordFormat::protobuf, 1,
                  "length of 2147483648");
    check_damaged(Wire().varint(~std::uint64_t{0}).str(), RecordFormat::protobuf, 0,
                  "length of 18446744073709551615");
    check_damaged(good + good + std::string(10, '\xff'), RecordFormat::protobuf, 2,
                  "no number that can be read");
  }

  TEST_CASE("a huge length that the file does not have is a tail") {
    const std::string good = delimited(minimal());
    const auto reader =
        reader_of(good + Wire().varint((std::uint64_t{1} << 31) - 1).str() + "abc", RecordFormat::protobuf);
    CHECK(read_all(*reader).samples.size() == 1);
    REQUIRE(reader->tail());
    CHECK(reader->tail()->bytes == 8);
    CHECK(reader->tail()->record == 1);
    CHECK(reader->tail()->byte == static_cast<std::int64_t>(good.size()));
    CHECK(reader->tail()->what == "3 of the 2147483647 bytes of a message are there");
  }

  TEST_CASE("a batch: fields of newer producers are passed by, batches stand one after another") {
    const std::string one = Wire().bytes(1, minimal().str()).str();
    const std::string others = Wire()
                                   .integer(2, -1)
                                   .fixed32(3, 1)
                                   .fixed64(4, 1)
                                   .bytes(5, std::string(5000, 'x'))
                                   .integer(1, 3)  // field 1 of another type
                                   .bytes(536870911, "")
                                   .str();
    RecordOptions options;
    options.buffer_bytes = 16;
    const auto reader =
        reader_of(others + one + others + one + one + others, RecordFormat::batch, options, 13);
    CHECK(read_all(*reader).samples.size() == 3);
    CHECK(!reader->tail());
    CHECK(read_all("", RecordFormat::batch).records() == 0);
  }

  TEST_CASE("a batch that is damaged") {
    const std::string one = Wire().bytes(1, minimal().str()).str();
    check_damaged(one + Wire().key(0, 2).str(), RecordFormat::batch, 1, "there is no field 0");
    check_damaged(one + Wire().key(7, Wire::start_group).str(), RecordFormat::batch, 1,
                  "field 7 has wire type 3");
    check_damaged(Wire().key(7, 6).str(), RecordFormat::batch, 0, "wire type 6");
    check_damaged(Wire().varint(~std::uint64_t{0}).str(), RecordFormat::batch, 0, "there is no field");
    check_damaged(one + Wire().key(1, 2).varint(std::uint64_t{1} << 40).str(), RecordFormat::batch, 1,
                  "length of 1099511627776");
  }
}
