#include "emshap/ops/loss.h"

#include "cpu/shard_sum.h"
#include "math/loss.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/loss_backend.h"

namespace emshap::cpu::EMSHAP_ISA {
namespace {

/// Sum of the losses of n elements; writes their gradient, slope * weight, unless `gradient` is null. All in
/// double.
template <class T, class Error>
EMSHAP_INLINE double loss_of_span(const T* prediction, const T* target, T* gradient, std::int64_t n,
                                  double weight, const Error& error) {
  return sum_in_double(n, [&](auto at) EMSHAP_INLINE_LAMBDA {
    const auto term = error(wide(at.load(prediction)) - wide(at.load(target)));
    if (gradient != nullptr) at.store(gradient, math::convert<T>(term.slope * NativePack<double>(weight)));
    return term.value;
  });
}

template <class T, class Error>
EMSHAP_INLINE void loss_of_team(Context& ctx, Mat<const T> prediction, Mat<const T> target, Mat<T> loss,
                                Mat<T> dprediction, const Error& error) {
  const ShardPlan plan = ctx.plan(prediction.rows);
  const double elements = static_cast<double>(plan.total_rows) * static_cast<double>(prediction.cols);
  const double weight = elements > 0 ? 1 / elements : 0;
  const bool flat = prediction.contiguous() && target.contiguous() && dprediction.contiguous();
  const Workspace::Scope scope(ctx.workspace());
  double* partials = ctx.workspace().take<double>(plan.local_shards);
  for (std::int64_t i = 0; i < plan.local_shards; ++i) {
    const Shard s = plan.shard(i);
    const std::int64_t spans = flat ? 1 : s.rows;
    const std::int64_t length = flat ? s.rows * prediction.cols : prediction.cols;
    partials[i] = 0;
    for (std::int64_t r = s.begin; r < s.begin + spans; ++r)
      partials[i] +=
          loss_of_span(prediction.row(r), target.row(r),
                       dprediction.data != nullptr ? dprediction.row(r) : nullptr, length, weight, error);
  }
  ShardSums<double> sums(ctx, partials, plan.local_shards, 1);
  double total = 0;
  sums.store(0, 1, &total);
  loss.data[0] = static_cast<T>(total * weight);
  sums.close();
}

}  // namespace

template <class T>
void loss_forward(Context& ctx, Loss kind, double delta, Mat<const T> prediction, Mat<const T> target,
                  Mat<T> loss, Mat<T> dprediction) {
  using V = NativePack<double>;
  switch (kind) {
    case Loss::mse:
      return loss_of_team(ctx, prediction, target, loss, dprediction,
                          [](V d) EMSHAP_INLINE_LAMBDA { return math::squared_error(d); });
    case Loss::huber:
      return loss_of_team(ctx, prediction, target, loss, dprediction,
                          [delta](V d) EMSHAP_INLINE_LAMBDA { return math::huber_error(d, V(delta)); });
  }
}

template void loss_forward<float>(Context&, Loss, double, Mat<const float>, Mat<const float>, Mat<float>,
                                  Mat<float>);
template void loss_forward<double>(Context&, Loss, double, Mat<const double>, Mat<const double>, Mat<double>,
                                   Mat<double>);

}  // namespace emshap::cpu::EMSHAP_ISA
