// Writes an attribution report of generated data, for a look at it:
//   example_report FOLDER [rows [features]]     everything a report can hold (240 rows, 8 features)
//   example_report FOLDER odd                   names, values and numbers that are hard to show
#include <cstdlib>
#include <iostream>
#include <string>

#include "attribution_fixture.h"

namespace {

emshap::report::AttributionReport odd() {
  auto r = emshap::test::full_attributions(60, 7);
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  r.players = {"<script>alert(\"x\")</script> & 'quotes'",
               "a_very_long_feature_name_of_a_data_warehouse_that_goes_on_and_on_lag_1",
               "a_very_long_feature_name_of_a_data_warehouse_that_goes_on_and_on_lag_2",
               "\xE6\xB8\xA9\xE5\xBA\xA6 \xC2\xB0"
               "C ambient",
               "rack",
               "50% {/Symbol a}_x^2 `date` $(date)",
               ""};
  r.columns = r.players;
  r.categories.resize(7);
  r.categories[4] = {"A-01", "B<2>", "rack with a long name", "D"};
  for (std::size_t i = 0; i < 60; ++i) {
    r.values[i * 7 + 4] = static_cast<double>(i % 4);
    r.phi[i * 7 + 4] = 8 * (static_cast<double>(i % 4) - 1.5) + .5 * r.phi[i * 7 + 6];
  }
  r.standard_error[3 * 7] = nan;
  r.phi[2 * 7 + 1] = nan;
  r.values[4 * 7 + 3] = inf;
  r.prediction[2] = nan;
  return r;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: example_report FOLDER [rows [features] | odd]\n";
    return 2;
  }
  const bool hard = argc > 2 && std::string(argv[2]) == "odd";
  const std::size_t rows = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 240,
                    features = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 8;
  emshap::report::Plotter plotter;
  emshap::report::AttributionReportOptions options;
  options.png = true;
  options.result_files = {"attributions.csv", "attributions.json"};
  const auto files = emshap::report::write_attribution_report(
      hard ? odd() : emshap::test::full_attributions(rows, features), argv[1], &plotter, options);
  std::cout << files.html.string() << " and " << files.pictures.size() << " pictures\n";
  return 0;
}
