#include "emshap/ops/energy_loss.h"

#include "cpu/shard_sum.h"
#include "math/energy_loss.h"
#include "math/order_key.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/energy_loss_backend.h"

namespace emshap::cpu::EMSHAP_ISA {
namespace {

/// How many scores of draws have a key of at most `key`.
template <class T>
EMSHAP_INLINE std::int64_t count_up_to(const Mat<const T>& scores, std::int64_t key) {
  std::int64_t count = 0;
  for (std::int64_t r = 0; r < scores.rows; ++r)
    for (std::int64_t k = 1; k < scores.cols; ++k) count += math::order_key(scores.row(r)[k]) <= key ? 1 : 0;
  return count;
}

/// The largest draw's score with a key of at most `key`.
template <class T>
EMSHAP_INLINE T largest_up_to(const Mat<const T>& scores, std::int64_t key, T largest) {
  for (std::int64_t r = 0; r < scores.rows; ++r)
    for (std::int64_t k = 1; k < scores.cols; ++k) {
      const T s = scores.row(r)[k];
      if (math::order_key(s) <= key && math::order_key(s) > math::order_key(largest)) largest = s;
    }
  return largest;
}

}  // namespace

template <class T>
void energy_loss(Context& ctx, EnergyLoss kind, Mat<const T> scores, Mat<const T> limit, Mat<T> loss,
                 Mat<T> dscores) {
  const ShardPlan plan = ctx.plan(scores.rows);
  const double weight = plan.total_rows > 0 ? 1 / static_cast<double>(plan.total_rows) : 0;
  const double most = limit.data != nullptr ? static_cast<double>(limit.data[0]) : __builtin_inf();
  const Workspace::Scope scope(ctx.workspace());
  double* partials = ctx.workspace().take<double>(plan.local_shards);
  for (std::int64_t i = 0; i < plan.local_shards; ++i) {
    const Shard s = plan.shard(i);
    partials[i] = 0;
    for (std::int64_t r = s.begin; r < s.begin + s.rows; ++r)
      partials[i] +=
          math::energy_loss_of_row(kind, scores.row(r), scores.cols - 1, most, weight,
                                   dscores.data != nullptr ? dscores.row(r) : nullptr, math::SingleLane());
  }
  ShardSums<double> sums(ctx, partials, plan.local_shards, 1);
  double total = 0;
  sums.store(0, 1, &total);
  loss.data[0] = static_cast<T>(total * weight);
  sums.close();
}

template <class T>
void score_limit(Context& ctx, double share, Mat<const T> scores, Mat<T> limit) {
  const Workspace::Scope scope(ctx.workspace());
  auto* mine = ctx.workspace().template take<Mat<const T>>(1);
  *mine = scores;
  void* const* members = ctx.team().exchange(mine).data();
  const auto each_member = [&](const auto& visit) EMSHAP_INLINE_LAMBDA {
    for (int r = 0; r < ctx.team().size(); ++r) visit(*static_cast<const Mat<const T>*>(members[r]));
  };
  std::int64_t draws = 0;
  each_member([&](const Mat<const T>& m) EMSHAP_INLINE_LAMBDA {
    if (m.cols > 1) draws += m.rows * (m.cols - 1);
  });
  T result = T(__builtin_inf());
  if (draws > 0) {
    // A count does not depend on the order of the scores: bisection over all keys, every member for itself.
    const double exact = share * static_cast<double>(draws);
    auto rank = static_cast<std::int64_t>(exact);
    if (static_cast<double>(rank) < exact) ++rank;
    std::int64_t low = math::order_key(-T(__builtin_inf())), high = math::order_key(T(__builtin_inf()));
    while (low < high) {
      const std::int64_t middle =
          low +
          static_cast<std::int64_t>((static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low)) / 2);
      std::int64_t count = 0;
      each_member([&](const Mat<const T>& m) EMSHAP_INLINE_LAMBDA { count += count_up_to(m, middle); });
      if (count >= rank)
        high = middle;
      else
        low = middle + 1;
    }
    result = -T(__builtin_inf());
    each_member([&](const Mat<const T>& m) EMSHAP_INLINE_LAMBDA { result = largest_up_to(m, low, result); });
  }
  limit.data[0] = result;
  ctx.team().barrier();
}

template <class T>
void importance_weights(Context&, Mat<const T> log_w, Mat<T> weights, Mat<T> summary) {
  for (std::int64_t r = 0; r < log_w.rows; ++r) {
    const auto s = math::importance_weights_of_row(
        log_w.row(r), log_w.cols, weights.data != nullptr ? weights.row(r) : nullptr, math::SingleLane());
    if (summary.data == nullptr) continue;
    summary.row(r)[0] = static_cast<T>(s.log_z);
    summary.row(r)[1] = static_cast<T>(s.effective);
    summary.row(r)[2] = static_cast<T>(s.error);
  }
}

#define EMSHAP_INSTANTIATE(T)                                                                     \
  template void energy_loss<T>(Context&, EnergyLoss, Mat<const T>, Mat<const T>, Mat<T>, Mat<T>); \
  template void score_limit<T>(Context&, double, Mat<const T>, Mat<T>);                           \
  template void importance_weights<T>(Context&, Mat<const T>, Mat<T>, Mat<T>);
EMSHAP_INSTANTIATE(float)
EMSHAP_INSTANTIATE(double)

}  // namespace emshap::cpu::EMSHAP_ISA
