#include "train/held_out_on_device.h"

#include <algorithm>

#include "core/memory.h"
#include "emshap/ops/density.h"

namespace emshap {
double HeldOutOnDevice::loss(const Proposal& proposal, const HeldOutPairs& pairs, Context& ctx) {
  const FeatureLayout& layout = proposal.layout();
  const std::int64_t n = pairs.count(), F = layout.features(), V = layout.total_categories();
  if (n == 0) return 0;
  if (x_.empty()) {
    x_ = to_device(pairs.rows.x, ctx.device());
    code_ = to_device(pairs.rows.code, ctx.device());
    mask_ = to_device(pairs.mask, ctx.device());
    density_.ensure({n, F}, DType::f32, ctx.device());
    read_density_.resize(static_cast<std::size_t>(n * F));
    read_log_p_.resize(static_cast<std::size_t>(n * V));
    sums_.resize(static_cast<std::size_t>(n));
  }
  proposal.conditionals(ctx, {.x = x_, .code = code_}, mask_, conditionals_);
  ops::mixture_log_density(ctx, conditionals_.mixture.view().reshaped({n * F, 3 * proposal.components()}), x_,
                           density_);
  read_bytes(ctx, read_density_.data(), density_.view().data(), n * F * size_of(DType::f32));
  read_bytes(ctx, read_log_p_.data(), conditionals_.categorical.view().data(), n * V * size_of(DType::f32));
  std::fill(sums_.begin(), sums_.end(), 0.0);
  sum_log_q(layout, read_density_.data(), read_log_p_.data(), pairs.rows.view(0, n),
            pairs.target.ptr<float>(), sums_);
  return -sum_in_order(sums_) / static_cast<double>(std::max<std::int64_t>(1, pairs.unknown));
}

}  // namespace emshap
