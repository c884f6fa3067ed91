// Text that reaches gnuplot: quoting, and proof by a run that nothing in it is executed.
#include <doctest/doctest.h>

#include <cctype>
#include <string>

#include "emshap/report/plot.h"
#include "emshap/report/text_table.h"
#include "report/gnuplot_script.h"
#include "report_fixture.h"
#include "svg_text.h"

using namespace emshap;
using namespace emshap::report;

TEST_CASE("quote makes one literal of any text") {
  const std::vector<std::pair<std::string, std::string>> literals{
      {"", "\"\""},
      {"plain, text_1.5 (W)", "\"plain, text_1.5 (W)\""},
      {"it's", "\"it\\0047s\""},
      {"'7", "\"\\00477\""},  // the digit after the escape is not part of it
      {"`7", "\"\\1407\""},
      {"a\\n\"b\"", "\"a\\134n\\0042b\\0042\""},
      {"two\nlines\r\ttab", "\"two lines  tab\""},
      {std::string("a\0b", 3), "\"a b\""},
      {"50% {x}^2 @m $(d)", "\"50\\0045 \\173x\\175\\1362 \\100m \\0044(d)\""},
      {"温度 °C ✓", "\"温度 °C ✓\""},
      {"\xff\xc3", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
      {"\x1b[31m", "\" \\13331m\""},
  };
  for (const auto& [text, literal] : literals) CHECK(quote(text) == literal);
}

TEST_CASE("nothing that gnuplot expands survives in a literal") {
  // Every pair of bytes, so that no combination escapes.
  for (int a = 0; a < 256; ++a)
    for (int b = 0; b < 256; ++b) {
      const std::string q = quote(std::string{static_cast<char>(a), static_cast<char>(b)});
      REQUIRE(q.front() == '"');
      REQUIRE(q.back() == '"');
      const std::string inside = q.substr(1, q.size() - 2);
      REQUIRE(inside.find_first_of("\"'`@$%{}!#\n\r") == std::string::npos);
      for (std::size_t i = inside.find('\\'); i != std::string::npos; i = inside.find('\\', i + 1))
        REQUIRE(std::isdigit(static_cast<unsigned char>(inside.at(i + 1))) != 0);
    }
}

TEST_CASE("texts that try to run commands are drawn as they are") {
  EMSHAP_NEEDS_GNUPLOT();
  const TemporaryFolder folder;
  const std::string victim = (folder.path() / "victim").string();
  const std::vector<std::string> attacks{
      "`touch " + victim + "`",
      "$(touch " + victim + ")",
      "'; system(\"touch " + victim + "\"); '",
      "\"; system('touch " + victim + "'); \"",
      "' \n!touch " + victim + "\n'",
      "\\'; !touch " + victim,
      "@ARG1 %s %d %% {/Symbol a}_x^2 <b>&amp;",
      "\\\\",
      "\\",
      "a\\nb \\140date\\140 \\",
      "''; system(\"touch " + victim + "\"); ''",
      "''",
      "'",
      "\"",
      "'1'2",
      "温度 ünï ✓",
  };
  Plotter plotter;
  for (const std::string& attack : attacks) {
    CAPTURE(attack);
    Chart chart;
    chart.title = attack;
    chart.note = attack;
    chart.x.label = attack;
    chart.y.label = attack;
    chart.series.push_back({attack, Style::line, {1, 2}, {3, 4}});
    chart.marks.push_back({1.5, attack});
    Chart bars;
    bars.title = attack;
    bars.categories = {attack, "other"};
    bars.series.push_back({"", Style::bars, {1, 2}, {}});
    REQUIRE(plotter.write(chart, folder.path() / "chart.svg"));
    REQUIRE(plotter.write(bars, folder.path() / "bars.svg"));
    CHECK_FALSE(std::filesystem::exists(victim));
    const auto drawn = test::read_svg(folder.path() / "chart.svg");
    const std::string shown = printable(attack);
    CHECK(drawn.title == shown);
    int times = 0;
    for (const std::string& text : drawn.texts) times += text == shown ? 1 : 0;
    CHECK(times == 6);  // title, note, two axes, legend, mark
    CHECK(test::read_svg(folder.path() / "bars.svg").has(shown));
  }
}
