#include <doctest/doctest.h>

#include <limits>

#include "emshap/core/error.h"
#include "emshap/report/text_table.h"

using namespace emshap;
using namespace emshap::report;

TEST_CASE("display width counts terminal columns") {
  CHECK(display_width("") == 0);
  CHECK(display_width("abc") == 3);
  CHECK(display_width("µs") == 2);
  CHECK(display_width("温度") == 4);
  CHECK(display_width("한국") == 4);
  CHECK(display_width("ｱ") == 1);        // half-width katakana
  CHECK(display_width("e\u0301") == 1);  // e and a combining accent
  CHECK(display_width("🔥") == 2);
  CHECK(display_width("a\nb") == 2);
  CHECK(display_width("\xff\xfe") == 2);
  CHECK(display_width("\xe6\xb8") == 2);  // a sequence cut short
}

TEST_CASE("printable replaces what cannot be shown") {
  CHECK(printable("a\tb\nc") == "a b c");
  CHECK(printable("\xc0\xaf") == "\xEF\xBF\xBD\xEF\xBF\xBD");          // overlong
  CHECK(printable("\xed\xa0\x80").find('\xed') == std::string::npos);  // a surrogate
  CHECK(printable("\xf4\x90\x80\x80").find('\xf4') == std::string::npos);
  CHECK(printable("\u2028") == " ");
  CHECK(printable("ok ✓") == "ok ✓");
}

TEST_CASE("table columns line up") {
  TextTable table({{"part", Align::left}, {"rows"}, {"温度", Align::left}, {"R2"}});
  table.add_row({"test", "1639", "µ", "0.9871"});
  table.add_row({"训练", "12", "很热", "nan"});
  table.add_row({"x\ny", "", "", ""});
  CHECK(table.str() ==
        "part  rows  温度      R2\n"
        "----  ----  ----  ------\n"
        "test  1639  µ     0.9871\n"
        "训练    12  很热     nan\n"
        "x y\n");
  CHECK_THROWS_AS(table.add_row({"too", "few"}), ShapeError);
  CHECK(TextTable({{"a"}}).str() == "a\n-\n");
}

TEST_CASE("numbers for tables") {
  CHECK(format_number(0) == "0");
  CHECK(format_number(1.0 / 3) == "0.333333");
  CHECK(format_number(-1e-9) == "-1e-09");
  CHECK(format_number(std::numeric_limits<double>::quiet_NaN()) == "nan");
  CHECK(format_number(-std::numeric_limits<double>::infinity()) == "-inf");
}
