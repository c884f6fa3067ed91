#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "core/for_blocks.h"
#include "emshap/core/error.h"
#include "emshap/explain/baseline_values.h"
#include "explain/background_rows.h"

namespace emshap {
namespace {

class IndependenceValues final : public ValueFunction {
 public:
  IndependenceValues(BackgroundRows background, const Predictor& f, std::int64_t replicates)
      : background_(std::move(background)), f_(f) {
    exact_ = background_.rows.rows() == background_.complete;
    replicates_ = exact_ ? 1 : replicates;
  }
  std::string name() const override { return "independence"; }
  const std::vector<std::string>& columns() const override { return background_.columns; }
  std::vector<bool> modelled() const override { return background_.modelled(); }
  std::int64_t replicates() const override { return replicates_; }
  bool shared_noise() const override { return !exact_; }
  std::int64_t evaluations() const override { return background_.rows.rows(); }
  std::int64_t scratch_bytes() const override {
    return for_all_threads(CompletionBatch::bytes(background_.width()));
  }

  void evaluate(TeamPool& pool, const Explicands& rows, ConstTensorView masks, CoalitionValues& out,
                const StopToken* stop) const override {
    check_query(name(), background_.columns, rows, masks);
    const std::int64_t B = rows.raw.rows(), C = masks.rows(), G = replicates_, K = background_.rows.rows();
    out.ensure(B, C, G);
    out.shared_noise = shared_noise();
    // Pairs of an explicand and a coalition that a member takes at once.
    const std::int64_t block = std::max<std::int64_t>(1, 4 * CompletionBatch::most / K);
    for_blocks(pool, B * C, block, [&](Context& ctx, std::int64_t begin, std::int64_t count) {
      stop_if_asked(stop);
      CompletionBatch batch(f_, background_.width());
      std::vector<std::uint8_t> known;
      for (std::int64_t pair = begin; pair < begin + count; ++pair) {
        double* sums = out.deviation.ptr<double>() + pair * G;  // of each replicate, for the time being
        std::fill_n(sums, G, 0.);
        const float* x = rows.raw.ptr<float>() + pair / C * rows.raw.row_stride();
        const float* mask = masks.ptr<float>() + pair % C * masks.row_stride();
        const bool full = known_columns(background_.width(), x, mask, known) == 0;
        out.effective.ptr<double>()[pair] =
            full || exact_ ? std::numeric_limits<double>::infinity() : static_cast<double>(K);
        if (full) {
          batch.add(ctx, x, x, known, static_cast<double>(K), sums);
        } else {
          for (std::int64_t k = 0; k < K; ++k)
            batch.add(ctx, x, background_.rows.ptr<float>() + k * background_.width(), known, 1,
                      sums + k / (K / G));
        }
      }
      batch.flush(ctx);
      for (std::int64_t pair = begin; pair < begin + count; ++pair) finish(pair, out);
    });
  }

 private:
  /// v and the replicates' parts in its error from sums. K of n rows without replacement vary by 1 - K / n
  /// less than K independent ones.
  void finish(std::int64_t pair, CoalitionValues& out) const {
    const auto K = static_cast<double>(background_.rows.rows());
    double* d = out.deviation.ptr<double>() + pair * replicates_;
    double sum = 0;
    for (std::int64_t g = 0; g < replicates_; ++g) sum += d[g];
    const double v = sum / K;
    out.value.ptr<double>()[pair] = v;
    const double left = std::sqrt(1 - K / static_cast<double>(background_.complete));
    const bool exact = std::isinf(out.effective.ptr<double>()[pair]);
    for (std::int64_t g = 0; g < replicates_; ++g)
      d[g] = exact ? 0 : left * (d[g] / K - v / static_cast<double>(replicates_));
  }

  BackgroundRows background_;
  const Predictor& f_;
  bool exact_ = false;
  std::int64_t replicates_ = 1;
};

}  // namespace

std::unique_ptr<ValueFunction> independence_values(std::vector<std::string> columns, ConstTensorView train,
                                                   const Predictor& f, const BaselineOptions& options) {
  const std::int64_t K = options.drawn.draws, G = options.drawn.replicates;
  if (K < 1 || G < 1 || K % G != 0)
    throw ConfigError(fmt::format(
        "independence: {} draws in {} replicates, expected 1 or more of both and a whole number each", K, G));
  return std::make_unique<IndependenceValues>(
      BackgroundRows::choose("independence", std::move(columns), train, f, K, options.drawn.seed), f, G);
}

}  // namespace emshap
