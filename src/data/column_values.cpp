#include "data/column_values.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "math/inverse_normal.h"

namespace emshap {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double tied_share = .05;
// A grid of more values, none of them frequent, is as good as continuous, and its list would be long.
constexpr std::size_t fine_grid = 8192;
constexpr double frequent_share = .01;

double median(std::vector<double> v) {
  const auto middle = v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2);
  std::nth_element(v.begin(), middle, v.end());
  if (v.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(v.begin(), middle)) / 2;
}

// Distances of value i to its neighbours; infinity beyond the ends.
double gap_below(const std::vector<double>& v, std::size_t i) {
  return i > 0 ? v[i] - v[i - 1] : infinity;
}
double gap_above(const std::vector<double>& v, std::size_t i) {
  return i + 1 < v.size() ? v[i + 1] - v[i] : infinity;
}

}  // namespace

void find_tiles(const std::vector<double>& v, double delta, std::vector<double>& left,
                std::vector<double>& right) {
  for (std::size_t i = 0; i < v.size(); ++i) {
    const double edge = tile_left(v[i], gap_below(v, i), delta);
    // Tiles that touch do so in one number: rounding must not let them overlap.
    left.push_back(i > 0 ? std::max(edge, right.back()) : edge);
    right.push_back(tile_right(v[i], gap_above(v, i), delta));
  }
}

ColumnValues column_values(std::vector<double> all, bool ties) {
  ColumnValues c;
  all.erase(std::remove_if(all.begin(), all.end(), [](double v) { return std::isnan(v); }), all.end());
  std::sort(all.begin(), all.end());
  c.present = static_cast<std::int64_t>(all.size());
  const auto n = static_cast<double>(c.present);
  double sum = 0, squares = 0;
  for (const double v : all) sum += v - all.front();  // small where the mean is large
  if (c.present > 0) c.mean = all.front() + sum / n;
  for (const double v : all) squares += (v - c.mean) * (v - c.mean);
  if (c.present > 0) c.sd = std::sqrt(squares / n);
  std::int64_t shared = 0, most = 0;
  for (std::size_t i = 0, next = 0; i < all.size(); i = next) {
    while (next < all.size() && all[next] == all[i]) ++next;
    const auto count = static_cast<std::int64_t>(next - i);
    c.values.push_back(all[i]);
    c.counts.push_back(count);
    if (count > 1) shared += count;
    most = std::max(most, count);
  }
  const bool fine = c.values.size() > fine_grid && static_cast<double>(most) < frequent_share * n;
  c.tied = ties && c.values.size() > 1 && static_cast<double>(shared) > tied_share * n && !fine;
  if (!c.tied) return c;
  std::vector<double> nearest;
  for (std::size_t i = 0; i < c.values.size(); ++i)
    nearest.push_back(std::min(gap_below(c.values, i), gap_above(c.values, i)));
  c.delta = median(std::move(nearest));
  find_tiles(c.values, c.delta, c.left, c.right);
  return c;
}

namespace {

/// The distribution function as a line through points (x, rows below x), ascending, with half a row beyond
/// each end.
struct RowsBelow {
  std::vector<double> x, rows;
  std::vector<std::size_t> edges;  // points at edges of tiles with much mass
  double total = 0;

  void add(double at, double below) {
    x.push_back(at);
    rows.push_back(below);
  }
  double value_at(double below) const {  // between the first and the last
    const auto found = std::lower_bound(rows.begin() + 1, rows.end() - 1, below);
    const auto i = static_cast<std::size_t>(found - rows.begin());
    if (!(rows[i] > rows[i - 1])) return x[i - 1];
    return x[i - 1] + (x[i] - x[i - 1]) * ((below - rows[i - 1]) / (rows[i] - rows[i - 1]));
  }
};

RowsBelow rows_below(const ColumnValues& c, double heavy_rows) {
  // Between two heavy tiles that do not touch lies the mass of a tenth of a row, so that scores ascend there.
  constexpr double gap_rows = .1;
  RowsBelow f;
  bool heavy_before = false;
  for (std::size_t i = 0; i < c.values.size(); ++i) {
    const auto count = static_cast<double>(c.counts[i]);
    if (c.tied) {
      const bool heavy = count >= heavy_rows;
      if (heavy && heavy_before && c.left[i] > c.right[i - 1]) f.total += gap_rows;
      if (heavy) f.edges.insert(f.edges.end(), {f.x.size(), f.x.size() + 1});
      f.add(c.left[i], f.total);
      f.add(c.right[i], f.total + count);
      heavy_before = heavy;
    } else {
      f.add(c.values[i], f.total + count / 2);  // the mean of rank - 1/2
    }
    f.total += count;
  }
  if (c.tied)
    for (double& rows : f.rows) rows = .5 + rows * ((f.total - 1) / f.total);
  return f;
}

}  // namespace

ScoreKnots score_knots(const ColumnValues& c, std::int64_t most_knots, std::int64_t rows_per_knot) {
  constexpr double first_tail_rows = 8;  // the tails have knots at 8, 16, 32 ... rows
  constexpr double apart = 4;            // rows between a knot and the edge of a heavy tile, at least
  const std::int64_t knots = std::clamp<std::int64_t>(c.present / rows_per_knot, 8, most_knots);
  const double step = static_cast<double>(c.present) / static_cast<double>(knots);
  const RowsBelow f = rows_below(c, 2 * step);

  std::vector<double> wanted;
  for (std::int64_t k = 1; k < knots; ++k)
    wanted.push_back(f.total * static_cast<double>(k) / static_cast<double>(knots));
  for (double tail = first_tail_rows; tail < .75 * step; tail *= 2) {
    wanted.push_back(tail);
    wanted.push_back(f.total - tail);
  }
  std::vector<double> edges;
  for (const std::size_t i : f.edges) edges.push_back(f.rows[i]);
  std::vector<std::pair<double, double>> points{{f.rows.front(), f.x.front()}, {f.rows.back(), f.x.back()}};
  for (const std::size_t i : f.edges) points.emplace_back(f.rows[i], f.x[i]);
  for (const double rows : wanted) {
    if (rows <= f.rows.front() || rows >= f.rows.back()) continue;
    const auto next = std::lower_bound(edges.begin(), edges.end(), rows);
    if (next != edges.end() && *next - rows < apart) continue;
    if (next != edges.begin() && rows - *std::prev(next) < apart) continue;
    points.emplace_back(rows, f.value_at(rows));
  }
  std::sort(points.begin(), points.end());

  ScoreKnots out;
  for (const auto& [rows, x] : points) {
    const double z = math::inverse_normal(rows / f.total);
    const auto ascends = [&, x = x] {
      const double dx = x - out.x.back(), dz = z - out.z.back();
      return dx > 0 && dz > 0 && std::isfinite(dz / dx) && std::isfinite(dx / dz);
    };
    while (x == f.x.back() && out.x.size() > 1 && !ascends()) {  // the last point stays
      out.x.pop_back();
      out.z.pop_back();
    }
    if (!out.x.empty() && !ascends()) continue;
    out.x.push_back(x);
    out.z.push_back(z);
  }
  return out;
}

}  // namespace emshap
