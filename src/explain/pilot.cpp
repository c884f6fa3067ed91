// The choice of the number of coalitions on a pilot of rows.
#include <algorithm>
#include <cmath>
#include <string>
#include <unordered_map>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/core/random.h"
#include "explain/explainer_impl.h"

namespace emshap {
namespace {

constexpr std::int64_t rows_together = 4;

/// Values of the pilot's rows for all coalitions seen so far: larger sets hold most of the smaller ones.
class PilotValues {
 public:
  PilotValues(const ValueFunction& values, const Players& players, const Explicands& rows)
      : values_(values), players_(players), rows_(rows) {}

  /// The values of the inner coalitions, (B, C - 2), of which only new ones are evaluated.
  CoalitionValues of(TeamPool& pool, const Coalitions& set, std::int64_t rows_at_once, ProgressSink& sink,
                     const StopToken* stop);

 private:
  void evaluate(TeamPool& pool, const Coalitions& fresh, std::int64_t rows_at_once, const std::string& stage,
                ProgressSink& sink, const StopToken* stop);
  struct Place {
    std::size_t chunk;
    std::int64_t column;
  };
  const ValueFunction& values_;
  const Players& players_;
  const Explicands& rows_;
  std::vector<CoalitionValues> chunks_;
  std::unordered_map<std::string, Place> place_;
};

std::string key(const Coalitions& set, std::int64_t c) {
  return {reinterpret_cast<const char*>(set.row(c)), static_cast<std::size_t>(set.players)};
}

/// Copies rows [begin, begin + n) of `from`, (n, count), into `to`, (B, count).
void place_rows(const CoalitionValues& from, std::int64_t begin, CoalitionValues& to) {
  const auto copy = [begin](const Tensor& a, Tensor& b) {
    if (a.rows() > 0)
      std::copy_n(a.ptr<double>(), a.elements(), b.ptr<double>() + begin * (b.elements() / b.shape()[0]));
  };
  copy(from.value, to.value);
  copy(from.effective, to.effective);
  copy(from.deviation, to.deviation);
}

void PilotValues::evaluate(TeamPool& pool, const Coalitions& fresh, std::int64_t rows_at_once,
                           const std::string& stage, ProgressSink& sink, const StopToken* stop) {
  const std::int64_t B = rows_.raw.rows(), G = values_.replicates();
  const Tensor masks = players_.masks(fresh);
  CoalitionValues& out = chunks_.emplace_back();
  out.ensure(B, fresh.size(), G);
  for (std::int64_t r = 0; r < B; r += rows_at_once) {
    const std::int64_t n = std::min(rows_at_once, B - r);
    CoalitionValues part;
    values_.evaluate(pool,
                     {rows_.raw.rows(r, n),
                      rows_.numbers.subspan(static_cast<std::size_t>(r), static_cast<std::size_t>(n))},
                     masks, part, stop);
    place_rows(part, r, out);
    sink.progress({stage, r + n, B, "row", {}});
  }
  for (std::int64_t c = 0; c < fresh.size(); ++c) place_[key(fresh, c)] = {chunks_.size() - 1, c};
}

CoalitionValues PilotValues::of(TeamPool& pool, const Coalitions& set, std::int64_t rows_at_once,
                                ProgressSink& sink, const StopToken* stop) {
  Coalitions fresh;
  fresh.players = set.players;
  for (std::int64_t c = 2; c < set.size(); ++c) {
    if (place_.contains(key(set, c))) continue;
    fresh.member.insert(fresh.member.end(), set.row(c), set.row(c) + set.players);
    fresh.weight.push_back(0);
  }
  if (fresh.size() > 0)
    evaluate(pool, fresh, rows_at_once, fmt::format("trying {} coalitions", set.size()), sink, stop);
  const std::int64_t B = rows_.raw.rows(), C = std::max<std::int64_t>(0, set.size() - 2),
                     G = values_.replicates();
  CoalitionValues out;
  out.ensure(B, C, G);
  for (std::int64_t c = 0; c < C; ++c) {
    const Place from = place_.at(key(set, c + 2));
    const CoalitionValues& chunk = chunks_[from.chunk];
    const std::int64_t width = chunk.value.cols();
    for (std::int64_t r = 0; r < B; ++r) {
      const std::int64_t a = r * width + from.column, b = r * C + c;
      out.value.ptr<double>()[b] = chunk.value.ptr<double>()[a];
      out.effective.ptr<double>()[b] = chunk.effective.ptr<double>()[a];
      std::copy_n(chunk.deviation.ptr<double>() + a * G, G, out.deviation.ptr<double>() + b * G);
    }
  }
  return out;
}

double median(std::vector<double> list) {
  const auto middle = list.begin() + static_cast<std::ptrdiff_t>(list.size() / 2);
  std::nth_element(list.begin(), middle, list.end());
  return *middle;
}

}  // namespace

Coalitions Explainer::Impl::pilot(TeamPool& pool, ConstTensorView rows, ProgressSink& sink,
                                  const StopToken* stop) {
  check_rows(rows);
  if (rows.rows() == 0) throw DataError("there is no row to choose the coalitions on, expected at least one");
  // A layer of its own keeps this choice apart from the coalitions' numbers.
  std::vector<std::int64_t> chosen = permutation(
      {.seed = options.seed, .purpose = RandomPurpose::coalition, .layer = 0x70696c6f}, rows.rows());
  chosen.resize(static_cast<std::size_t>(std::min(options.pilot_rows, rows.rows())));
  std::sort(chosen.begin(), chosen.end());
  const auto B = static_cast<std::int64_t>(chosen.size());
  Tensor raw({B, rows.cols()});
  for (std::int64_t i = 0; i < B; ++i)
    std::copy_n(rows.ptr<float>() + chosen[static_cast<std::size_t>(i)] * rows.row_stride(), rows.cols(),
                raw.ptr<float>() + i * rows.cols());
  const Explicands explicands{raw, chosen};
  const Full full = full_values(pool, explicands, stop);
  PilotValues known(values, players, explicands);

  const std::int64_t M = players.size();
  std::int64_t budget = std::min(4 * M, options.most_coalitions);
  for (;; budget = std::min(2 * budget, options.most_coalitions)) {
    set_coalitions(Coalitions::make(M, strategy(), std::max(budget, 2 * M), options.seed));
    const std::int64_t C = coalitions->size();
    // A quarter of the limit for the values of one call; those kept are a few megabytes. Few enough to show
    // progress.
    const std::int64_t at_once = std::clamp<std::int64_t>(
        options.memory_limit / 4 / (8 * C * (2 + values.replicates())), 1, rows_together);
    const Attributions result =
        attribute(pool, explicands, full, known.of(pool, *coalitions, at_once, sink, stop));
    std::vector<double> total, sampling;
    for (std::int64_t r = 0; r < B; ++r) {
      total.push_back(relative_error(result, r, phi0, false));
      sampling.push_back(relative_error(result, r, phi0, true));
    }
    const double error = median(total), of_sampling = median(sampling);
    const auto share = [](double part) { return fmt::format("{:.2g} %", 100 * part); };
    const std::string found = fmt::format(
        "{} coalitions: at the median of {} rows the largest standard error is {} of the spread of phi", C, B,
        share(error));
    if (error < options.tolerance) {
      sink.log(LogLevel::info, found);
      break;
    }
    // Noise that the coalitions share stays however many there are.
    const double noise = std::sqrt(std::max(0., error * error - of_sampling * of_sampling));
    if (2 * of_sampling < noise) {
      sink.log(LogLevel::info,
               found + fmt::format(", of which {} is the noise of the values; more coalitions "
                                   "would not help, more samples would",
                                   share(noise)));
      break;
    }
    if (coalitions->enumerated() || budget >= options.most_coalitions) {
      sink.log(LogLevel::warning, found + fmt::format(", above the {} asked for; this is the largest number "
                                                      "that is tried",
                                                      share(options.tolerance)));
      break;
    }
    sink.log(LogLevel::info, found);
  }
  return *coalitions;
}

}  // namespace emshap
