#pragma once
// What the training values of one column say: distinct values, ties and their tiles, the dequantised
// distribution function at knots.
#include <cstdint>
#include <vector>

namespace emshap {

struct ColumnValues {
  std::int64_t present = 0;          ///< rows with a value
  double mean = 0, sd = 0;           ///< divided by n
  std::vector<double> values;        ///< distinct, ascending
  std::vector<std::int64_t> counts;  ///< rows of each
  bool tied = false;                 ///< see FeatureKind
  double delta = 0;  ///< median over the values of the distance to the nearest other; 0 with one value
  std::vector<double> left, right;  ///< edges of the tiles; empty unless tied
};
/// `all`: the values of the rows, NaN for missing; `ties` false: never tied.
ColumnValues column_values(std::vector<double> all, bool ties);

/// Edges of the tile of a value between neighbours at these distances (infinity: none).
inline double tile_left(double value, double gap_below, double delta) {
  return value - (gap_below < delta ? gap_below : delta) / 2;
}
inline double tile_right(double value, double gap_above, double delta) {
  return value + (gap_above < delta ? gap_above : delta) / 2;
}

/// Edges of the tiles of ascending values.
void find_tiles(const std::vector<double>& values, double delta, std::vector<double>& left,
                std::vector<double>& right);

/// Strictly ascending in both.
struct ScoreKnots {
  std::vector<double> x, z;
};
/// See QuantileNormal; the column has two values or more.
ScoreKnots score_knots(const ColumnValues& column, std::int64_t most_knots, std::int64_t rows_per_knot);

}  // namespace emshap
