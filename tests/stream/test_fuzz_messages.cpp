// Deterministic fuzzing of decoder and file readers: mutations of good messages and files, drawn from Philox,
// so that a failure is found again by its number.
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "emshap/core/random.h"
#include "fuzz_messages.h"
#include "record_support.h"

using namespace emshap;
using namespace emshap::stream;
using namespace emshap::test;

namespace {

constexpr RecordFormat formats[] = {RecordFormat::csv, RecordFormat::jsonl, RecordFormat::protobuf,
                                    RecordFormat::batch};

std::vector<std::string> messages() {
  std::vector<std::string> corpus{"", minimal().str()};
  for (const Sample& s : some_samples(4)) corpus.push_back(message_of(s));
  corpus.push_back(minimal()
                       .number(4, 0)
                       .bytes(30, extra_entry("a\"b", 1))
                       .bytes(30, extra_entry("\xCE\xB1", -2.5f))
                       .fixed64(31, 7)
                       .key(40, Wire::start_group)
                       .integer(1, 1)
                       .key(40, Wire::end_group)
                       .bytes(50, "later")
                       .str());
  return corpus;
}

std::vector<std::string> files(RecordFormat format) {
  switch (format) {
    case RecordFormat::csv:
      return {
          "time,node_id,power_consumption,cpu_util,inlet\n1735689600,n1,412.5,10,\n1735689601,\"n,2\",,,"
          "3\r\n\n",
          "\xEF\xBB\xBFtime,node_id\n2025-01-01T00:00:00Z,\"a\"\"b\"\n1735689600.5,n\n,n", "time,node_id\n"};
    case RecordFormat::jsonl:
      return {
          "{\"time\": 1735689600, \"node_id\": \"n1\", \"cpu_util\": 10, \"extra\": {\"a\": 1}}\n\n{}\r\n"
          "{\"time\": \"2025-01-01\", \"node_id\": \"n\\u03b1\", \"inlet\": -3.5, \"mem_util\": null}",
          "\xEF\xBB\xBF[1, 2]\n{\"time\": 1735689600, \"node_id\": \"n\"}\n"};
    default: {
      std::vector<std::string> corpus{""};
      const bool batch = format == RecordFormat::batch;
      std::string text;
      for (const std::string& message : messages())
        text += batch ? Wire().bytes(1, message).integer(2, 300).fixed32(3, 1).bytes(4, "abc").str()
                      : delimited(message);
      corpus.push_back(text);
      // Beyond the 400 bytes that the property allows.
      corpus.push_back(batch ? Wire().bytes(1, std::string(500, 'x')).bytes(7, std::string(500, 'y')).str()
                             : delimited(std::string(500, 'x')));
      return corpus;
    }
  }
}

const std::vector<std::string>& tokens() {
  static const std::vector<std::string> all{"\"",
                                            "\"\"",
                                            ",",
                                            "\n",
                                            "\r\n",
                                            "\r",
                                            "{",
                                            "}",
                                            ":",
                                            "null",
                                            "NaN",
                                            "inf",
                                            "1e39",
                                            "-1",
                                            "NA",
                                            std::string(1, '\0'),
                                            "\xff",
                                            "\x80",
                                            "\xff\xff\xff\xff\x07",
                                            "\xff\xff\xff\xff\x0f",
                                            "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                                            "\x0a\x00",
                                            "\x12\x01n",
                                            "time",
                                            "node_id",
                                            "cpu_util",
                                            "9999999999",
                                            Wire().number(4, -1).str(),
                                            Wire().number(7, INFINITY).str(),
                                            Wire().integer(1, -1).str(),
                                            extra_entry("x", 1),
                                            std::string(450, 'z')};
  return all;
}

std::string mutate(const std::vector<std::string>& corpus, std::uint32_t stream, std::uint64_t number) {
  Generator random({2024, RandomPurpose::test, stream}, number);
  const auto pick = [&](std::size_t bound) { return static_cast<std::size_t>(random.below(bound)); };
  std::string text = corpus[pick(corpus.size())];
  const std::size_t changes = pick(6);
  for (std::size_t i = 0; i < changes; ++i) {
    const std::size_t at = pick(text.size() + 1);
    switch (pick(8)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(pick(256));
        break;
      case 1:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << pick(8)));
        break;
      case 2:
        text.insert(at, 1, static_cast<char>(pick(256)));
        break;
      case 3:
        text.insert(at, tokens()[pick(tokens().size())]);
        break;
      case 4:
        text.erase(at, 1 + pick(4));
        break;
      case 5:
        text.resize(at);
        break;
      case 6:
        text.insert(at, text.substr(pick(text.size() + 1), 1 + pick(20)));
        break;
      default: {
        const std::string& other = corpus[pick(corpus.size())];
        text.resize(at);
        text.append(other, pick(other.size() + 1));
      }
    }
  }
  return text;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text)
    out += c >= 32 && c < 127 ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return out;
}

void fuzz_messages(std::uint64_t first, std::uint64_t count) {
  const std::vector<std::string> corpus = messages();
  for (std::uint64_t number = first; number < first + count; ++number) {
    const std::string bytes = mutate(corpus, 51, number);
    const std::string wrong = fuzz_message_once(bytes);
    if (!wrong.empty()) FAIL("mutation " << number << ": " << wrong << "\n" << escaped(bytes));
  }
}

void fuzz_files(std::uint64_t first, std::uint64_t count) {
  for (const RecordFormat format : formats) {
    const std::vector<std::string> corpus = files(format);
    for (std::uint64_t number = first; number < first + count; ++number) {
      const std::string bytes = mutate(corpus, 52 + static_cast<std::uint32_t>(format), number);
      const std::string wrong = fuzz_file_once(bytes, format);
      if (!wrong.empty())
        FAIL(std::string(to_string(format)) << " mutation " << number << ": " << wrong << "\n"
                                            << escaped(bytes));
    }
  }
}

}  // namespace

TEST_SUITE("fuzz messages") {
  TEST_CASE("fuzz: the corpora as they are") {
    for (const std::string& bytes : messages()) CHECK(fuzz_message_once(bytes) == "");
    for (const RecordFormat format : formats)
      for (const std::string& bytes : files(format)) CHECK(fuzz_file_once(bytes, format) == "");
  }
  TEST_CASE("fuzz: twenty thousand mutated messages, two thousand files of each format") {
    fuzz_messages(0, 20'000);
    fuzz_files(0, 2'000);
  }
}

TEST_SUITE("slow fuzz messages") {
  TEST_CASE("fuzz: a million mutated messages") {
    fuzz_messages(20'000, 1'000'000);
  }
  TEST_CASE("fuzz: a hundred thousand mutated files of each format") {
    fuzz_files(2'000, 100'000);
  }
}
