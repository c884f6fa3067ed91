#pragma once
// The pictures of attributions as charts; what each shows is said in attribution_report.h.
#include <optional>
#include <vector>

#include "report/attribution_view.h"

namespace emshap::report {

Chart importance_chart(const AttributionView& view);
/// Players in the order of importance_chart, so that the two can be read side by side.
Chart sage_chart(const AttributionView& view);
/// Rows are thinned out evenly so that at most about 12,000 marks are drawn.
Chart beeswarm_chart(const AttributionView& view);
/// From phi0 at the bottom to the prediction on top.
Chart waterfall_chart(const AttributionView& view, std::size_t row);
/// Rows of options.waterfalls, else those of highest, median and lowest finite prediction.
std::vector<std::size_t> waterfall_rows(const AttributionView& view);

/// phi of a player of one column against its value; at most 3,000 marks.
Chart dependence_chart(const AttributionView& view, std::size_t player);
/// Most important players that are one column with at least two different values.
std::vector<std::size_t> dependence_players(const AttributionView& view);
/// The column other than the player's own that goes most with phi_j beyond what x_j explains: rows sorted by
/// x_j are cut into bins of about n / 10, at most 50, rows; in each, |correlation of phi_j and x_k given
/// x_j|; the mean over bins weighted by rows. (The idea of bins is that of shap's approximate_interactions;
/// Lundberg et al. 2020.) Absent below 20 rows, or where no column does so
/// more than by chance.
EMSHAP_API std::optional<std::size_t> strongest_partner(const AttributionView& view, std::size_t player);

/// Rows of the node of the heat map in the order of time; empty without times or with fewer than 3 rows.
std::vector<std::size_t> rows_over_time(const AttributionView& view);
/// At most 240 columns: beyond, means of neighbouring rows.
HeatMap time_map(const AttributionView& view, const std::vector<std::size_t>& rows);
/// Predictions (and actual values) of these rows.
Chart time_chart(const AttributionView& view, const std::vector<std::size_t>& rows);

Chart effective_chart(const AttributionView& view);
/// MSEv of the other methods minus that of the report's own.
Chart comparison_chart(const AttributionView& view);

}  // namespace emshap::report
