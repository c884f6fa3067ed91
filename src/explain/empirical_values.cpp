#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "core/for_blocks.h"
#include "emshap/core/error.h"
#include "emshap/explain/baseline_values.h"
#include "explain/background_rows.h"
#include "explain/nearness.h"

namespace emshap {
namespace {

constexpr std::int64_t most_explicands = 16;  // that share the work on a coalition's covariance

class EmpiricalValues final : public ValueFunction {
 public:
  EmpiricalValues(BackgroundRows background, const Predictor& f, const BaselineOptions& options)
      : background_(std::move(background)),
        f_(f),
        near_(background_.rows),
        sharpness_(.5 / (options.bandwidth * options.bandwidth)),
        mass_(options.mass) {}
  std::string name() const override { return "empirical"; }
  const std::vector<std::string>& columns() const override { return background_.columns; }
  std::vector<bool> modelled() const override { return background_.modelled(); }
  std::int64_t replicates() const override { return 1; }
  bool shared_noise() const override { return false; }
  std::int64_t evaluations() const override { return background_.rows.rows(); }
  std::int64_t scratch_bytes() const override {
    const std::int64_t n = background_.rows.rows(), D = background_.width(), f64 = sizeof(double);
    return for_all_threads(CompletionBatch::bytes(D) +
                           f64 * ((explicands_at_once() + 2) * n + (Nearness::block + D) * D));
  }

  void evaluate(TeamPool& pool, const Explicands& rows, ConstTensorView masks, CoalitionValues& out,
                const StopToken* stop) const override {
    check_query(name(), background_.columns, rows, masks);
    const std::int64_t B = rows.raw.rows(), C = masks.rows(), D = background_.width();
    out.ensure(B, C, 1);
    out.shared_noise = false;
    std::fill_n(out.deviation.ptr<double>(), B * C, 0.);
    const std::int64_t some = explicands_at_once(), portions = (B + some - 1) / some;
    for_blocks(pool, C * portions, 1, [&](Context& ctx, std::int64_t item, std::int64_t) {
      stop_if_asked(stop);
      CompletionBatch batch(f_, D);
      const float* mask = masks.ptr<float>() + item / portions * masks.row_stride();
      const std::int64_t first = item % portions * some, end = std::min(B, first + some);
      Scratch scratch;
      // Explicands with the same known columns share a factorisation: all that lack nothing.
      for (std::int64_t b = first; b < end;) {
        const auto x_of = [&](std::int64_t e) { return rows.raw.ptr<float>() + e * rows.raw.row_stride(); };
        const std::int64_t unknown = known_columns(D, x_of(b), mask, scratch.known);
        scratch.explicands.clear();
        do {
          scratch.explicands.push_back(x_of(b++));
          if (b == end) break;
          known_columns(D, x_of(b), mask, scratch.next);
        } while (scratch.next == scratch.known);
        const auto group = static_cast<std::int64_t>(scratch.explicands.size());
        const auto place = [&](std::int64_t e) { return (b - group + e) * C + item / portions; };
        weigh(scratch, unknown, [&](std::int64_t e, double effective) {
          double* sum = out.value.ptr<double>() + place(e);
          *sum = 0;
          out.effective.ptr<double>()[place(e)] = effective;
          const float* x = scratch.explicands[static_cast<std::size_t>(e)];
          for (const auto& [row, weight] : scratch.kept)
            batch.add(ctx, x, background_.rows.ptr<float>() + row * D, scratch.known, weight, sum);
        });
      }
      batch.flush(ctx);
    });
  }

 private:
  struct Kept {
    std::int64_t row;
    double weight;
  };
  struct Scratch {
    std::vector<std::uint8_t> known, next;
    std::vector<const float*> explicands;
    std::vector<std::int64_t> columns;
    std::vector<double> distance;
    std::vector<Kept> kept;
  };

  /// Distances of so many explicands are held at once: 2 MiB, or one row of them.
  std::int64_t explicands_at_once() const {
    return std::clamp<std::int64_t>(262144 / background_.rows.rows(), 1, most_explicands);
  }

  /// Fills scratch.kept for each explicand and calls visit(explicand, effective sample size).
  template <class Visit>
  void weigh(Scratch& s, std::int64_t unknown, const Visit& visit) const {
    const std::int64_t n = background_.rows.rows(), group = static_cast<std::int64_t>(s.explicands.size());
    s.columns.clear();
    for (std::size_t c = 0; c < s.known.size(); ++c)
      if (s.known[c] != 0 && background_.varies[c] != 0) s.columns.push_back(static_cast<std::int64_t>(c));
    if (unknown == 0 || s.columns.empty()) {
      s.kept.clear();
      const std::int64_t rows = unknown == 0 ? 1 : n;  // all of them give f(x)
      for (std::int64_t i = 0; i < rows; ++i) s.kept.push_back({i, 1 / static_cast<double>(rows)});
      const double effective =
          unknown == 0 ? std::numeric_limits<double>::infinity() : static_cast<double>(n);
      for (std::int64_t e = 0; e < group; ++e) visit(e, effective);
      return;
    }
    s.distance.resize(static_cast<std::size_t>(group * n));
    near_.squared(s.explicands, s.columns, s.distance.data());
    for (std::int64_t e = 0; e < group; ++e) visit(e, keep(s.distance.data() + e * n, s.kept));
  }

  /// The rows that count, heaviest first, weights summing to 1; returns their effective sample size.
  double keep(double* distance, std::vector<Kept>& kept) const {
    const std::int64_t n = background_.rows.rows();
    // The nearest row has weight 1: where all are far, the unscaled weights would be 0.
    const double nearest = *std::min_element(distance, distance + n);
    double total = 0;
    for (std::int64_t i = 0; i < n; ++i)
      total += distance[i] = std::exp(-sharpness_ * (distance[i] - nearest));
    // Lighter rows together have less than the share that is dropped.
    const double floor = (1 - mass_) * total / static_cast<double>(n);
    kept.clear();
    for (std::int64_t i = 0; i < n; ++i)
      if (distance[i] > 0 && distance[i] >= floor) kept.push_back({i, distance[i]});
    std::stable_sort(kept.begin(), kept.end(),
                     [](const Kept& a, const Kept& b) { return a.weight > b.weight; });
    double sum = 0, squares = 0;
    std::size_t count = 0;
    while (count < kept.size() && (count == 0 || sum < mass_ * total)) sum += kept[count++].weight;
    kept.resize(count);
    for (Kept& k : kept) {
      k.weight /= sum;
      squares += k.weight * k.weight;
    }
    return 1 / squares;
  }

  BackgroundRows background_;
  const Predictor& f_;
  Nearness near_;
  double sharpness_, mass_;
};

}  // namespace

std::unique_ptr<ValueFunction> empirical_values(std::vector<std::string> columns, ConstTensorView train,
                                                const Predictor& f, const BaselineOptions& options) {
  if (!(options.bandwidth > 0) || !std::isfinite(options.bandwidth) || !(options.mass > 0) ||
      options.mass > 1 || options.most_rows < 0)
    throw ConfigError(fmt::format(
        "empirical: a bandwidth of {}, a mass of {} and at most {} rows were given, expected a positive "
        "number, one above 0 and up to 1, and 0 or more",
        options.bandwidth, options.mass, options.most_rows));
  return std::make_unique<EmpiricalValues>(BackgroundRows::choose("empirical", std::move(columns), train, f,
                                                                  options.most_rows, options.drawn.seed),
                                           f, options);
}

}  // namespace emshap
