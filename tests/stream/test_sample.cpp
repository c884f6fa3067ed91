#include <set>
#include <string>

#include <doctest/doctest.h>

#include "emshap/stream/sample.h"

using namespace emshap::stream;

TEST_SUITE("sample") {
  TEST_CASE("every reason has a name of its own") {
    std::set<std::string> names;
    for (std::size_t r = 0; r < reason_count; ++r) names.insert(to_string(static_cast<Reason>(r)));
    CHECK(names.size() == reason_count);
    CHECK(names.count("") == 0);
  }
}
