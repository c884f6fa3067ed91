#pragma once
// What the pictures and the tables of an attribution report have in common: checked lists, the order of the
// players, and texts.
#include <cstdint>
#include <string>
#include <vector>

#include "emshap/report/attribution_report.h"

namespace emshap::report {

class EMSHAP_API AttributionView {
 public:
  /// Throws ShapeError for lists that do not fit together. Both must outlive the view.
  AttributionView(const AttributionReport& report, const AttributionReportOptions& options);

  const AttributionReport& report;
  const AttributionReportOptions& options;
  std::size_t rows = 0, players = 0, columns = 0;  ///< n, M, D
  std::vector<double> mean_absolute;               ///< (M)
  std::vector<std::size_t> order;                  ///< (M): by mean |phi|, largest first, NaN last
  std::size_t shown = 0;  ///< first entries of `order` with a place of their own; the rest are "others"
  /// Decimals of phi and of predictions, the same in all pictures and tables so that sums can be checked.
  int decimals = 2;
  double scale = 0;           ///< 90th percentile of the rows' largest |phi|, for colours
  std::size_t explained = 0;  ///< rows behind the importance, at least n
  std::size_t others() const { return players - shown; }

  double phi(std::size_t row, std::size_t player) const { return report.phi[row * players + player]; }
  double error(std::size_t row, std::size_t player) const;  ///< NaN where not known
  double phi_of_others(std::size_t row) const;              ///< their sum
  double value(std::size_t row, std::size_t column) const;  ///< NaN where missing or not given
  /// The player's columns; empty where values or its columns are not given.
  const std::vector<std::size_t>& columns_of(std::size_t player) const { return columns_of_[player]; }
  bool categorical(std::size_t column) const;

  std::string name(std::size_t player) const;
  std::string column_name(std::size_t column) const;
  std::string label(std::size_t row) const;
  std::string time_label(std::size_t row) const;
  std::string value_text(std::size_t row, std::size_t column) const;  ///< "23.4", "missing", a category
  /// "temperature = 23.4", "cpu (4 columns)", or the name alone; the name is cut to `width` columns.
  std::string player_text(std::size_t row, std::size_t player, std::int64_t width) const;
  std::string others_text() const;                       ///< "20 others"
  std::string with_unit(const std::string& name) const;  ///< "name (W)"
  std::string in_unit(const std::string& number) const;  ///< "12.3 W"
  std::string target() const;                            ///< or "prediction"
  bool flag(const std::vector<std::uint8_t>& list, std::size_t row) const {
    return !list.empty() && list[row] != 0;
  }

 private:
  std::vector<std::vector<std::size_t>> columns_of_;  ///< (M)
  double per_second_ = 0;                             ///< units of `time` in a second; 0: times are no dates
  bool seconds_ = false;                              ///< some times are not full minutes
};

}  // namespace emshap::report
