#include "emshap/explain/attribution_run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <sstream>

#include <fmt/format.h>

#include "emshap/core/error.h"

namespace emshap {
namespace {

constexpr std::int64_t first_block = 8, largest_block = 4096;
constexpr auto quick_block = std::chrono::milliseconds(250);  // quicker ones are made larger
constexpr auto commit_interval = std::chrono::seconds(2);     // what a crash may cost
constexpr std::uint32_t flags[]{ExplainedRow::missing, ExplainedRow::not_converged, ExplainedRow::unusual,
                                ExplainedRow::outside};

std::vector<double> roots(std::span<const double> squares, std::int64_t rows) {
  std::vector<double> out;
  for (const double s : squares) out.push_back(std::sqrt(s / static_cast<double>(rows)));
  return out;
}

}  // namespace

std::string describe(const Coalitions& c) {
  return fmt::format("{} {} {} {} {}", c.players, to_string(c.strategy), c.budget, c.seed, c.hash());
}

Coalitions coalitions_from(const std::string& description) {
  std::istringstream in(description);
  std::int64_t players = 0, budget = 0;
  std::uint64_t seed = 0;
  std::string strategy, hash;
  if (!(in >> players >> strategy >> budget >> seed >> hash))
    throw IoError(fmt::format("'{}' does not describe a set of coalitions", description));
  Coalitions out = Coalitions::make(players, parse_coalition_strategy(strategy), budget, seed);
  if (out.hash() != hash)
    throw IoError(
        fmt::format("the set of coalitions '{}' is another one in this version (hash {}), so that "
                    "the results cannot be continued; start again",
                    description, out.hash()));
  return out;
}

AttributionRun::AttributionRun(const Explainer& explainer, const Typicality* typicality, AttributionLog& log)
    : explainer_(explainer),
      typicality_(typicality),
      log_(log),
      importance_(explainer),
      squares_(static_cast<std::size_t>(2 * explainer.players().size())),
      counts_{0, 0, 0, 0, std::numeric_limits<double>::infinity(), 0} {
  if (log.rows() == 0) return;
  const std::span<const double> sums = log.sums();
  const std::size_t own = 2 + squares_.size() + counts_.size();
  if (sums.size() < own) throw IoError("the sums of the unfinished results are of another game");
  clamped_ = static_cast<std::int64_t>(sums[0]);
  drawn_ = static_cast<std::int64_t>(sums[1]);
  std::copy_n(sums.begin() + 2, squares_.size(), squares_.begin());
  std::copy_n(sums.begin() + 2 + static_cast<std::ptrdiff_t>(squares_.size()), counts_.size(),
              counts_.begin());
  importance_.restore(sums.subspan(own));
}

std::vector<double> AttributionRun::sums() const {
  std::vector<double> out{static_cast<double>(clamped_), static_cast<double>(drawn_)};
  out.insert(out.end(), squares_.begin(), squares_.end());
  out.insert(out.end(), counts_.begin(), counts_.end());
  const std::vector<double> more = importance_.state();
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

void AttributionRun::commit() {
  log_.commit(sums(), describe(explainer_.coalitions()));
}

void AttributionRun::run(TeamPool& pool, const RowsToExplain& rows, ProgressSink& sink,
                         const StopToken* stop) {
  using Clock = std::chrono::steady_clock;
  const std::int64_t n = rows.raw.rows(), most = std::min(largest_block, explainer_.rows_at_once());
  std::vector<std::int64_t> numbers(rows.numbers.begin(), rows.numbers.end());
  if (numbers.empty())
    for (std::int64_t r = 0; r < n; ++r) numbers.push_back(r);
  std::int64_t block = std::min(first_block, most);
  commit();
  auto committed = Clock::now();
  sink.progress({"explaining", log_.rows(), n, "row", {}});
  try {
    for (std::int64_t begin = log_.rows(); begin < n; begin = log_.rows()) {
      if (stop != nullptr && stop->stop_requested()) throw Interrupted("");
      const auto start = Clock::now();
      const std::int64_t count = std::min(block, n - begin);
      const Explicands some{rows.raw.rows(begin, count),
                            std::span<const std::int64_t>(numbers).subspan(static_cast<std::size_t>(begin),
                                                                           static_cast<std::size_t>(count))};
      Typicality::Scores scores;
      if (typicality_ != nullptr) scores = typicality_->score(pool, some.raw);
      const Attributions result = explainer_.explain(pool, some, stop);
      add(result,
          {some.raw, some.numbers,
           rows.actual.empty()
               ? rows.actual
               : rows.actual.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count))},
          typicality_ != nullptr ? &scores : nullptr);
      const auto end = Clock::now();
      if (end - start < quick_block) block = std::min(2 * block, most);
      if (end - committed > commit_interval) {
        commit();
        committed = Clock::now();
      }
      sink.progress({"explaining", log_.rows(), n, "row", {}});
    }
  } catch (const Interrupted&) {
    commit();
    throw Interrupted(
        fmt::format("interrupted after {} of {} rows, which are saved; --resume continues", log_.rows(), n));
  } catch (const Error&) {
    commit();
    throw;
  }
  commit();
}

void AttributionRun::add(const Attributions& block, const RowsToExplain& rows,
                         const Typicality::Scores* scores) {
  const std::int64_t M = explainer_.players().size();
  const auto m = static_cast<std::size_t>(M);
  for (std::int64_t r = 0; r < block.rows(); ++r) {
    const auto at = static_cast<std::size_t>(r);
    ExplainedRow row;
    row.row = rows.numbers[at];
    row.prediction = block.prediction[at];
    row.effective_min = block.effective_min[at];
    row.effective_mean = block.effective_mean[at];
    row.msev = block.msev[at];
    row.log_density = scores != nullptr ? scores->log_density[at] : std::numeric_limits<double>::quiet_NaN();
    if (block.missing[at] != 0) row.flags |= ExplainedRow::missing;
    if (block.converged[at] == 0) row.flags |= ExplainedRow::not_converged;
    if (scores != nullptr && scores->unusual[at] != 0) row.flags |= ExplainedRow::unusual;
    if (scores != nullptr && scores->outside[at] > 0) row.flags |= ExplainedRow::outside;
    const auto from = [&](const Tensor& matrix) { return matrix.ptr<double>() + r * M; };
    row.phi.assign(from(block.phi), from(block.phi) + M);
    row.standard_error.assign(from(block.standard_error), from(block.standard_error) + M);
    for (std::size_t j = 0; j < m; ++j) {
      squares_[j] += from(block.sampling_error)[j] * from(block.sampling_error)[j];
      squares_[m + j] += from(block.noise_error)[j] * from(block.noise_error)[j];
    }
    for (std::size_t f = 0; f < std::size(flags); ++f)
      if ((row.flags & flags[f]) != 0) ++counts_[f];
    counts_[4] = std::min(counts_[4], row.effective_min);
    counts_[5] += row.effective_mean;
    log_.append(row);
  }
  clamped_ += block.clamped;
  drawn_ += block.drawn;
  importance_.add(block, rows.actual);
}

std::vector<double> AttributionRun::sampling_error() const {
  return roots(std::span(squares_).first(squares_.size() / 2), log_.rows());
}

std::vector<double> AttributionRun::noise_error() const {
  return roots(std::span(squares_).last(squares_.size() / 2), log_.rows());
}

std::int64_t AttributionRun::flagged(std::uint32_t flag) const {
  for (std::size_t f = 0; f < std::size(flags); ++f)
    if (flags[f] == flag) return static_cast<std::int64_t>(counts_[f]);
  return 0;
}

double AttributionRun::effective_min() const {
  return counts_[4];
}
double AttributionRun::effective_mean() const {
  return counts_[5] / static_cast<double>(log_.rows());
}

}  // namespace emshap
