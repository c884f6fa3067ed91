// Deterministic fuzzing of the CSV reader: mutations of small files, drawn from Philox, so that a failure is
// found again by its number. The slow run lasts EMSHAP_FUZZ_SECONDS.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include "emshap/core/random.h"
#include "fuzz_csv.h"

using namespace emshap;
using namespace emshap::test;

namespace {

const std::vector<std::string>& corpus() {
  static const std::vector<std::string> texts{
      std::string("\0a,b,c\n1,2,3\n4,5,6\n", 19),
      "\x07g,t,a,y\nn1,10,1.5,2\nn2,20,-1e-3,4\n",
      "\x05\xEF\xBB\xBFg,a,\"b, \"\"q\"\"\",y\r\n\"x\r\ny\",1,,3\r\n\"\",2,NA,4\r\n",
      "\x06t,a,y\n2025-01-01T00:00:00Z,1,2\n2025-01-01 00:01,3,4\n",
      "\x0Fg;t;a;y\n a b ;1.5;\"2\";3\n\"NA\";2.25;-;4",
      std::string("\x00x\n1\n\n2\n\"\"\n-3.4028235e38\n1e-45\n", 32),
      "\x31g,a\n\"long quoted cell, with ; and \t and \"\" inside\",123456.789\nnull,.5\n",
      "\x04y,a\n1,inf\n",
      "\x14"
      "a,y\n99999999999999999999,1\n0x10,2\n",
  };
  return texts;
}

std::string mutate(std::uint64_t number) {
  static const std::string tokens[] = {"\"",     "\"\"",       ",",  "\n",           "\r\n",
                                       "\r",     ";",          "NA", "nan",          "inf",
                                       "1e39",   "-",          "",   "\xEF\xBB\xBF", std::string(1, '\0'),
                                       "1e-400", "2025-01-01", " ",  "\t",           "g",
                                       "y"};
  Generator random({2024, RandomPurpose::test, 7}, number);
  const auto pick = [&](std::size_t bound) { return static_cast<std::size_t>(random.below(bound)); };
  std::string text = corpus()[pick(corpus().size())];
  const std::size_t changes = pick(6);
  for (std::size_t i = 0; i < changes; ++i) {
    const std::size_t at = pick(text.size() + 1);
    switch (pick(7)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(pick(256));
        break;
      case 1:
        text.insert(at, 1, static_cast<char>(pick(256)));
        break;
      case 2:
        text.insert(at, tokens[pick(std::size(tokens))]);
        break;
      case 3:
        text.erase(at, 1 + pick(4));
        break;
      case 4:
        text.resize(at);
        break;
      case 5:
        text.insert(at, text.substr(pick(text.size() + 1), 1 + pick(20)));
        break;
      default: {
        const std::string& other = corpus()[pick(corpus().size())];
        text.resize(at);
        text.append(other, pick(other.size()));
      }
    }
  }
  return text;
}

void check(std::uint64_t number) {
  const std::string text = mutate(number);
  const std::string wrong = fuzz_csv_once(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  if (!wrong.empty()) {
    std::string shown;
    for (const char c : text)
      shown +=
          c >= 32 && c < 127 ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    FAIL("mutation " << number << ": " << wrong << "\n" << shown);
  }
}

}  // namespace

TEST_CASE("fuzz: the corpus and twenty thousand mutations") {
  for (const std::string& text : corpus()) {
    const std::string wrong = fuzz_csv_once(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
    CHECK_MESSAGE(wrong.empty(), wrong);
  }
  for (std::uint64_t number = 0; number < 20000; ++number) check(number);
}

TEST_SUITE("slow fuzz") {
  TEST_CASE("fuzz: mutations for EMSHAP_FUZZ_SECONDS, 600 by default") {
    const char* chosen = std::getenv("EMSHAP_FUZZ_SECONDS");
    const double seconds = chosen != nullptr ? std::atof(chosen) : 600;
    const auto start = std::chrono::steady_clock::now();
    std::uint64_t number = 20000;
    while (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < seconds)
      for (int i = 0; i < 1000; ++i) check(number++);
    MESSAGE((number - 20000) << " mutations in " << seconds << " s");
  }
}
