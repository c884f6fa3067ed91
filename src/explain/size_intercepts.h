#pragma once
// A term for each pair of sizes {s, M - s} in the least squares of Shapley values. Private to the library.
#include <cstdint>
#include <vector>

#include "emshap/explain/coalitions.h"

namespace emshap {

/// v often grows with the size of a coalition in a curve, the same for all players, because each value known
/// leaves less to tell for the next. Such a curve h(s), h(0) = h(M) = 0, has Shapley values of 0 by symmetry,
/// but in a sample, in which players do not stand in coalitions of a size equally often, it would count as
/// their error. Pairs of complements see its odd part only. Fitted jointly with phi: by taking from z - 1/2
/// its mean over the pairs of a size (Frisch & Waugh 1933).
class SizeIntercepts {
 public:
  /// `present`: players that take part; sizes count these.
  SizeIntercepts(const Coalitions& set, const std::vector<std::int64_t>& present);

  std::int64_t count() const { return static_cast<std::int64_t>(means_.size()) / players_; }
  /// Of pair p = coalitions 2 p and 2 p + 1: the term's number, or -1.
  std::int64_t group_of(std::int64_t p) const { return group_[static_cast<std::size_t>(p)]; }
  /// 1 where 2 p is the smaller one, -1 where it is the larger; 0 without a term.
  double sign_of(std::int64_t p) const { return sign_[static_cast<std::size_t>(p)]; }
  /// Share in h, with the sign.
  double weight_of(std::int64_t p) const { return weight_[static_cast<std::size_t>(p)]; }
  /// (players present): mean of sign (z - 1/2) over the pairs of a term.
  const double* mean(std::int64_t group) const { return means_.data() + group * players_; }
  /// The same of a pair's term; zeros without one.
  const double* mean_of(std::int64_t p) const { return group_of(p) < 0 ? zero_.data() : mean(group_of(p)); }

 private:
  std::int64_t players_;
  std::vector<std::int64_t> group_;
  std::vector<double> sign_, weight_, means_, zero_;
};

}  // namespace emshap
