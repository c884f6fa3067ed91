#include "explain/size_intercepts.h"

#include <algorithm>
#include <cmath>

#include "explain/solver_parts.h"

namespace emshap {
namespace {

constexpr std::int64_t pairs_an_unknown = 4;  // with fewer, more is lost by fitting than won
constexpr std::int64_t pairs_a_term = 3;

}  // namespace

SizeIntercepts::SizeIntercepts(const Coalitions& set, const std::vector<std::int64_t>& present)
    : players_(static_cast<std::int64_t>(present.size())),
      group_(at(set.size() / 2), -1),
      sign_(group_.size(), 0.0),
      weight_(group_.size(), 0.0),
      zero_(present.size(), 0.0) {
  if (set.enumerated() || players_ < 3) return;
  const std::int64_t pairs = set.size() / 2;
  const auto sampled = [&](std::int64_t p) {
    return set.probability[at(2 * p)] < 1 && set.weight[at(2 * p)] > 0;
  };
  std::vector<std::int64_t> size(at(pairs), 0), pairs_of(at(players_), 0), number(at(players_), -1);
  for (std::int64_t p = 1; p < pairs; ++p) {
    for (const std::int64_t j : present) size[at(p)] += set.row(2 * p)[j];
    if (sampled(p)) ++pairs_of[at(std::min(size[at(p)], players_ - size[at(p)]))];
  }
  std::int64_t terms = 0;
  for (std::int64_t s = 1; 2 * s < players_; ++s)
    if (pairs_of[at(s)] >= pairs_a_term) number[at(s)] = terms++;
  if (pairs - 1 < pairs_an_unknown * (players_ - 1 + terms)) return;

  means_.assign(at(terms * players_), 0.0);
  std::vector<double> total(at(terms), 0.0);
  for (std::int64_t p = 1; p < pairs; ++p) {
    const std::int64_t s = size[at(p)], g = number[at(std::min(s, players_ - s))];
    if (g < 0 || !sampled(p)) continue;
    group_[at(p)] = g;
    sign_[at(p)] = 2 * s < players_ ? 1 : -1;
    weight_[at(p)] = sign_[at(p)] * (set.weight[at(2 * p)] + set.weight[at(2 * p + 1)]);
    total[at(g)] += std::abs(weight_[at(p)]);
    for (std::int64_t i = 0; i < players_; ++i)
      means_[at(g * players_ + i)] += weight_[at(p)] * (set.row(2 * p)[present[at(i)]] != 0 ? .5 : -.5);
  }
  for (std::int64_t g = 0; g < terms; ++g)
    for (std::int64_t i = 0; i < players_; ++i) means_[at(g * players_ + i)] /= total[at(g)];
  for (std::int64_t p = 1; p < pairs; ++p)
    if (group_[at(p)] >= 0) weight_[at(p)] /= total[at(group_[at(p)])];
}

}  // namespace emshap
