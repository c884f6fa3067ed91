#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "emshap/report/text_table.h"
#include "report/number_text.h"

using namespace emshap::report;

namespace {
constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double none = std::numeric_limits<double>::quiet_NaN();
}  // namespace

TEST_CASE("numbers for people have three digits and groups of thousands") {
  const std::vector<std::pair<double, std::string>> cases{{0, "0"},
                                                          {-0.0, "0"},
                                                          {10, "10"},
                                                          {.5, "0.5"},
                                                          {.4699, "0.470"},
                                                          {12.34, "12.3"},
                                                          {-12.34,
                                                           "\xE2\x88\x92"
                                                           "12.3"},
                                                          {999.6, "1,000"},
                                                          {12345.6, "12,346"},
                                                          {1234567, "1,234,567"},
                                                          {123456, "123,456"},
                                                          {.0123456, "0.0123"},
                                                          {1.23e-7,
                                                           "1.23e\xE2\x88\x92"
                                                           "07"},
                                                          {-2e20,
                                                           "\xE2\x88\x92"
                                                           "2.00e+20"},
                                                          {static_cast<double>(1.1F), "1.1"},
                                                          {none, "NaN"},
                                                          {inf, "\xE2\x88\x9E"},
                                                          {-inf, "\xE2\x88\x92\xE2\x88\x9E"}};
  for (const auto& [value, text] : cases) CHECK(number_text(value) == text);
}

TEST_CASE("fixed decimals, signs and errors") {
  CHECK(fixed_text(12345.6, 2) == "12,345.60");
  CHECK(fixed_text(-.001, 1) == "0.0");  // no minus before zero
  CHECK(fixed_text(-100, 0) ==
        "\xE2\x88\x92"
        "100");
  CHECK(signed_text(2.5, 1) == "+2.5");
  CHECK(signed_text(.01, 1) == "0.0");
  CHECK(signed_text(none, 1) == "NaN");
  CHECK(error_text(.04, 1) == "<0.1");
  CHECK(error_text(0, 1) == "0.0");
  CHECK(error_text(.06, 1) == "0.1");
  CHECK(error_text(none, 1) == "?");
  CHECK(percent_text(.9213) == "92.1 %");
  CHECK(percent_text(1) == "100 %");
  CHECK(percent_text(1e-5) == "<0.1 %");
  CHECK(percent_text(none) == "\xE2\x80\x93");
  CHECK(decimals_for(260) == 1);
  CHECK(decimals_for(12345) == 0);
  CHECK(decimals_for(.05) == 5);
  CHECK(decimals_for(0) == 2);
  CHECK(decimals_for(none) == 2);
}

TEST_CASE("long names lose their middle, by the width they take") {
  CHECK(short_text("short", 10) == "short");
  CHECK(short_text("0123456789", 10) == "0123456789");
  CHECK(short_text("0123456789a", 10) ==
        "01234\xE2\x80\xA6"
        "789a");
  CHECK(short_text("abc", 1) == "\xE2\x80\xA6");
  const std::string wide =
      short_text("\xE6\xB8\xA9\xE5\xBA\xA6\xE6\xB8\xA9\xE5\xBA\xA6\xE6\xB8\xA9\xE5\xBA\xA6", 8);
  CHECK(display_width(wide) <= 8);
  CHECK(short_text("a\nb", 10) == "a b");
}

TEST_CASE("quantiles leave out what is not finite") {
  CHECK(finite_quantile({3, 1, none, 2, inf}, .5) == 2);
  CHECK(finite_quantile({1, 2}, .25) == doctest::Approx(1.25));
  CHECK(finite_quantile({7}, .99) == 7);
  CHECK(std::isnan(finite_quantile({none}, .5)));
}

TEST_CASE("markup is escaped") {
  CHECK(escape_markup("<a href=\"x\">&'\n") == "&lt;a href=&quot;x&quot;&gt;&amp;&#39; ");
  CHECK(escape_markup("\xFF") == "\xEF\xBF\xBD");
}
