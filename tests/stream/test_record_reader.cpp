// What holds for every format: nothing vanishes, tails wait, files are told apart, pieces do not matter.
#include <filesystem>
#include <fstream>
#include <string>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "emshap/core/error.h"
#include "record_support.h"

using namespace emshap;
using namespace emshap::stream;
using namespace emshap::test;

namespace {

struct Text {
  RecordFormat format;
  std::string bytes;
  std::vector<std::size_t> ends;  // of records
};

std::string number(float value) {
  return std::isnan(value) ? "" : fmt::format("{}", value);
}

// The same samples in each format.
Text write(const std::vector<Sample>& samples, RecordFormat format) {
  Text text{format, {}, {}};
  if (format == RecordFormat::csv) {
    text.bytes = "time,node_id,power_consumption";
    for (const char* name : metric_names) text.bytes += std::string(",") + name;
    text.bytes += ",inlet\n";
  }
  for (const Sample& s : samples) {
    const std::string inlet = s.extra.empty() ? "" : s.extra.substr(9, s.extra.size() - 10);
    if (format == RecordFormat::csv) {
      text.bytes += fmt::format("{},{},{}", s.time, s.node_id, s.power_consumption);
      for (const float v : s.metrics) text.bytes += "," + number(v);
      text.bytes += "," + inlet + "\n";
    } else if (format == RecordFormat::jsonl) {
      text.bytes += fmt::format(R"({{"time": {}, "node_id": "{}", "power_consumption": {})", s.time,
                                s.node_id, s.power_consumption);
      for (std::size_t m = 0; m < metric_count; ++m)
        text.bytes += fmt::format(", \"{}\": {}", metric_names[m],
                                  std::isnan(s.metrics[m]) ? "null" : number(s.metrics[m]));
      if (!inlet.empty()) text.bytes += ", \"extra\": " + s.extra;
      text.bytes += "}\n";
    } else if (format == RecordFormat::protobuf) {
      text.bytes += delimited(message_of(s));
    } else {
      text.bytes += Wire().bytes(1, message_of(s)).str();
    }
    text.ends.push_back(text.bytes.size());
  }
  return text;
}

constexpr RecordFormat formats[] = {RecordFormat::csv, RecordFormat::jsonl, RecordFormat::protobuf,
                                    RecordFormat::batch};

}  // namespace

TEST_SUITE("record reader") {
  TEST_CASE("the same samples from every format, in pieces and batches of any size") {
    const auto samples = some_samples(33);
    for (const RecordFormat format : formats) {
      CAPTURE(std::string(to_string(format)));
      const Text text = write(samples, format);
      std::string fingerprint;
      for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{1} << 20})
        for (const std::int64_t most : {1, 32, 33, 34}) {
          RecordOptions options;
          options.buffer_bytes = piece;
          const auto reader = reader_of(text.bytes, format, options, piece);
          const Batch all = read_all(*reader, most);
          CHECK(all.rejected.empty());
          REQUIRE(all.samples.size() == samples.size());
          for (std::size_t i = 0; i < samples.size(); ++i) {
            check_equal(all.samples[i], samples[i]);
            CHECK(all.samples[i].offset == samples[i].offset);
          }
          CHECK(!reader->tail());
          CHECK(reader->bytes() == static_cast<std::int64_t>(text.bytes.size()));
          CHECK(reader->presence().messages == 33);
          if (fingerprint.empty()) fingerprint = reader->fingerprint();
          CHECK(reader->fingerprint() == fingerprint);
        }
    }
  }

  TEST_CASE("cut at every byte: whole records, then a tail that is read when the rest is there") {
    const auto samples = some_samples(3);
    for (const RecordFormat format : formats) {
      CAPTURE(std::string(to_string(format)));
      const Text text = write(samples, format);
      const std::string whole = [&] {
        const auto reader = reader_of(text.bytes, format);
        read_all(*reader);
        return reader->fingerprint();
      }();
      const std::size_t header = format == RecordFormat::csv ? text.bytes.find('\n') + 1 : 0;
      for (std::size_t n = header; n <= text.bytes.size(); ++n) {
        CAPTURE(n);
        const auto end = std::make_shared<std::size_t>(n);
        RecordOptions options;
        options.format = format;
        const auto reader = open_records("f", bytes_of(text.bytes, 64, end), options);
        const Batch first = read_all(*reader);
        CHECK(first.rejected.empty());
        std::size_t complete = 0, start = header;
        for (const std::size_t e : text.ends) {
          // An object of JSON needs no line end.
          if (n < e - (format == RecordFormat::jsonl ? 1 : 0)) break;
          ++complete;
          start = e;
        }
        CHECK(first.samples.size() == complete);
        if (n > start) {
          REQUIRE(reader->tail());
          CHECK(reader->tail()->record == static_cast<std::int64_t>(complete));
          CHECK(reader->tail()->byte == static_cast<std::int64_t>(start));
          CHECK(reader->tail()->bytes == static_cast<std::int64_t>(n - start));
          CHECK(!reader->tail()->what.empty());
        } else {
          CHECK(!reader->tail());
        }
        *end = text.bytes.size();
        Batch batch;
        std::size_t later = 0;
        while (reader->next(10, test_now, batch)) later += batch.samples.size();
        CHECK(complete + later == 3);
        CHECK(!reader->tail());
        CHECK(reader->fingerprint() == whole);
      }
    }
  }

  TEST_CASE("going on where a store is; a changed or shorter file is noticed") {
    const auto samples = some_samples(10);
    for (const RecordFormat format : formats) {
      CAPTURE(std::string(to_string(format)));
      const Text text = write(samples, format);
      const auto first = reader_of(text.bytes, format);
      Batch batch;
      REQUIRE(first->next(4, test_now, batch));
      const std::string fingerprint = first->fingerprint();
      CHECK(first->offset() == 4);

      const auto second = reader_of(text.bytes, format, {}, 5);
      resume(*second, 4, fingerprint);
      REQUIRE(second->next(100, test_now, batch));
      CHECK(batch.ranges[0].first == 4);
      CHECK(batch.ranges[0].next == 10);
      REQUIRE(batch.samples.size() == 6);
      check_equal(batch.samples[0], samples[4]);
      CHECK(second->presence().messages == 6);

      auto changed = samples;
      changed[3].power_consumption += 1;
      const auto third = reader_of(write(changed, format).bytes, format);
      CHECK_THROWS_AS(resume(*third, 4, fingerprint), DataError);
      changed = samples;
      changed[4].power_consumption += 1;
      CHECK_NOTHROW(resume(*reader_of(write(changed, format).bytes, format), 4, fingerprint));
      CHECK_THROWS_AS(resume(*reader_of(text.bytes, format), 11, fingerprint), DataError);
      CHECK_NOTHROW(resume(*reader_of(text.bytes, format), 0, ""));
    }
    const std::string csv = write(samples, RecordFormat::csv).bytes;
    std::string other = csv;
    other.replace(other.find("inlet"), 5, "inlot");
    const auto reader = reader_of(csv, RecordFormat::csv);
    const std::string start = reader->fingerprint();
    CHECK_THROWS_AS(resume(*reader_of(other, RecordFormat::csv), 0, start), DataError);
  }

  TEST_CASE("a record that is too large is rejected with its start, the next ones are read") {
    auto samples = some_samples(3);
    samples[1].node_id = std::string(3000, 'n');
    for (const RecordFormat format : formats)
      for (const std::size_t piece : {std::size_t{3}, std::size_t{1} << 20}) {
        CAPTURE(std::string(to_string(format)));
        const Text text = write(samples, format);
        RecordOptions options;
        options.acceptance.most_bytes = 2000;
        options.buffer_bytes = 16;
        const auto reader = reader_of(text.bytes, format, options, piece);
        const Batch all = read_all(*reader);
        REQUIRE(all.samples.size() == 2);
        check_equal(all.samples[1], samples[2]);
        REQUIRE(all.rejected.size() == 1);
        CHECK(all.rejected[0].reason == Reason::too_large);
        CHECK(all.rejected[0].offset == 1);
        CHECK(all.rejected[0].bytes.size() == 2000);
        CHECK(text.bytes.find(all.rejected[0].bytes) != std::string::npos);
        std::string other = text.bytes;
        other[other.find("nnnn") + 2900] = 'm';  // behind what is kept, so not seen; the size would be
        const auto same_size = reader_of(other, format, options, 11);
        read_all(*same_size);
        CHECK(same_size->fingerprint() == reader->fingerprint());
      }
  }

  TEST_CASE("a batch ends at its bytes, too") {
    const Text text = write(some_samples(20), RecordFormat::protobuf);
    RecordOptions options;
    options.batch_bytes = 300;
    const auto reader = reader_of(text.bytes, RecordFormat::protobuf, options);
    Batch batch;
    REQUIRE(reader->next(1000, test_now, batch));
    CHECK(batch.records() == 3);  // of about 130 bytes each
  }

  TEST_CASE("formats by name and by ending") {
    CHECK(record_format_of("a/b.csv") == RecordFormat::csv);
    CHECK(record_format_of("B.JSONL") == RecordFormat::jsonl);
    CHECK(record_format_of("b.ndjson") == RecordFormat::jsonl);
    CHECK(record_format_of("b.x.pb") == RecordFormat::protobuf);
    CHECK(record_format_of("b.pbatch") == RecordFormat::batch);
    CHECK_THROWS_AS(record_format_of("b.txt"), ConfigError);
    CHECK_THROWS_AS(record_format_of("csv"), ConfigError);
    for (const RecordFormat format : formats) CHECK(parse_record_format(to_string(format)) == format);
    CHECK(parse_record_format("auto") == RecordFormat::automatic);
    CHECK_THROWS_AS(parse_record_format("CSV"), ConfigError);
    CHECK_THROWS_AS(reader_of("", RecordFormat::automatic), ConfigError);
    RecordOptions options;
    options.delimiter = '"';
    CHECK_THROWS_AS(reader_of("time,node_id\n", RecordFormat::csv, options), ConfigError);
  }

  TEST_CASE("files: read, followed while they grow, missing ones named") {
    const auto path = std::filesystem::path(EMSHAP_BINARY_DIR) / "test_record_reader.pb";
    const Text text = write(some_samples(2), RecordFormat::protobuf);
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << text.bytes.substr(0, text.ends[0] + 5) << std::flush;
    const auto reader = open_records(path);
    CHECK(reader->format() == RecordFormat::protobuf);
    Batch batch;
    CHECK(reader->next(10, test_now, batch));
    CHECK(!reader->next(10, test_now, batch));
    CHECK(reader->tail());
    file << text.bytes.substr(text.ends[0] + 5) << std::flush;
    CHECK(reader->next(10, test_now, batch));
    CHECK(!reader->tail());
    std::filesystem::remove(path);
    CHECK_THROWS_AS(open_records(path), IoError);
    RecordOptions options;
    options.format = RecordFormat::jsonl;
    CHECK_THROWS_AS(open_records(std::filesystem::path(EMSHAP_BINARY_DIR), options), IoError);
  }
}
