#include "io/attribution_plan.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <numeric>

#include "emshap/core/context.h"
#include "emshap/ops/gaussian_base.h"
#include "math/inverse_normal.h"

namespace emshap::io {
namespace {

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

/// Draws of one order stand together; where orders have different numbers of draws, each replicate is a part.
std::vector<std::vector<std::int64_t>> orders_of_parts(const SharedNoise& noise) {
  std::vector<std::vector<std::int64_t>> orders;
  std::vector<std::int64_t> replicates;
  for (const auto& order : noise.order) {
    if (orders.empty() || orders.back() != order) {
      orders.push_back(order);
      replicates.push_back(0);
    }
    ++replicates.back();
  }
  const bool even = std::all_of(replicates.begin(), replicates.end(),
                                [&](std::int64_t count) { return count == replicates[0]; });
  return even ? orders : noise.order;
}

/// Sigma_US Sigma_SS^-1 (|U|, |S|).
Eigen::MatrixXd regression_of(const GaussianBase& base, const std::vector<std::int64_t>& unknown,
                              const std::vector<std::int64_t>& known) {
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Eigen::Map<const Matrix> sigma(base.covariance.data(), base.features(), base.features());
  const Eigen::MatrixXd inner = sigma(known, known), cross = sigma(known, unknown);
  return inner.ldlt().solve(cross).transpose();
}

class Planner {
 public:
  Planner(AttributionPlan& plan, const GaussianBase& base, std::vector<std::vector<std::int64_t>> orders)
      : plan_(plan),
        base_(base),
        orders_(std::move(orders)),
        covariance_({base.features(), base.features()}, DType::f64) {
    std::copy(base.covariance.begin(), base.covariance.end(), covariance_.ptr<double>());
  }

  void add_block(std::int64_t b) {
    constexpr std::int64_t S = AttributionPlan::block;
    const std::int64_t F = plan_.features, Q = plan_.parts;
    std::int64_t n = 2, s = 1;
    std::vector<std::int64_t> known_count(at(S));
    for (std::int64_t i = 0; i < S; ++i) {
      const float* mask = mask_of(b, i);
      known_count[at(i)] = std::count(mask, mask + F, 1.f);
      s = std::max(s, known_count[at(i)]);
      n = std::max(n, F - known_count[at(i)]);
    }
    make_sequences(b);
    const auto place = [](auto& list, std::int64_t count, auto empty) {
      const auto begin = static_cast<std::int64_t>(list.size());
      list.insert(list.end(), at(count), empty);
      return begin;
    };
    const std::int64_t positions = place(plan_.feature, n * S * Q, static_cast<float>(F));
    place(plan_.log_sd, n * S * Q, 0.f);
    const std::int64_t gains = place(plan_.gains, n * S * Q * n, 0.f);
    const std::int64_t knowns = place(plan_.known_feature, S * s, static_cast<float>(F));
    const std::int64_t regressions = place(plan_.regression, S * n * s, 0.0);
    for (std::int64_t i = 0; i < S; ++i) {
      const std::int64_t given = known_count[at(i)], open = F - given;
      for (std::int64_t q = 0; q < Q; ++q) {
        const std::int64_t row = i * Q + q;
        const std::int32_t* sequence = sequence_.ptr<std::int32_t>() + row * F + given;
        for (std::int64_t k = 0; k < open; ++k) {
          const std::int64_t to = positions + (k * S + i) * Q + q;
          plan_.feature[at(to)] = static_cast<float>(sequence[k]);
          plan_.log_sd[at(to)] = log_sd_.ptr<float>()[row * F + given + k];
          const float* from = gains_.ptr<float>() + (row * F + given + k) * F;
          for (std::int64_t j = k + 1; j < open; ++j)
            plan_.gains[at(gains + ((k * S + i) * Q + q) * n + j)] = from[sequence[j]];
        }
      }
      add_regression(i, given, knowns + i * s, regressions + i * n * s, s);
    }
    const auto size = [](const auto& list) { return static_cast<std::int64_t>(list.size()); };
    plan_.table.insert(plan_.table.end(),
                       {n, s, positions, size(plan_.feature), gains, size(plan_.gains), knowns,
                        size(plan_.known_feature), regressions, size(plan_.regression)});
  }

 private:
  const float* mask_of(std::int64_t b, std::int64_t i) const {
    return plan_.mask.data() + (b * AttributionPlan::block + i) * plan_.features;
  }

  /// Known features ascending, then the unknown ones in the part's order, with what they do to each other.
  void make_sequences(std::int64_t b) {
    constexpr std::int64_t S = AttributionPlan::block;
    const std::int64_t F = plan_.features, Q = plan_.parts;
    sequence_.ensure({S * Q, F}, DType::i32);
    count_.ensure({S * Q}, DType::i32);
    for (std::int64_t i = 0; i < S; ++i)
      for (std::int64_t q = 0; q < Q; ++q) {
        std::int32_t* to = sequence_.ptr<std::int32_t>() + (i * Q + q) * F;
        const float* mask = mask_of(b, i);
        for (std::int64_t t = 0; t < F; ++t)
          if (mask[t] == 1) *to++ = static_cast<std::int32_t>(t);
        for (const std::int64_t t : orders_[at(q)])
          if (mask[t] == 0) *to++ = static_cast<std::int32_t>(t);
        count_.ptr<std::int32_t>()[i * Q + q] = static_cast<std::int32_t>(F);
      }
    gains_.ensure({S * Q, F, F}, DType::f32);
    log_sd_.ensure({S * Q, F}, DType::f32);
    ops::base_gains(ctx_, covariance_, sequence_, count_, gains_, log_sd_);
  }

  void add_regression(std::int64_t i, std::int64_t given, std::int64_t knowns, std::int64_t regressions,
                      std::int64_t s) {
    const std::int64_t F = plan_.features;
    const std::int32_t* sequence = sequence_.ptr<std::int32_t>() + i * plan_.parts * F;
    const std::vector<std::int64_t> known(sequence, sequence + given),
        unknown(sequence + given, sequence + F);
    for (std::int64_t k = 0; k < given; ++k)
      plan_.known_feature[at(knowns + k)] = static_cast<float>(known[at(k)]);
    if (known.empty() || unknown.empty()) return;
    const Eigen::MatrixXd a = regression_of(base_, unknown, known);
    for (Eigen::Index r = 0; r < a.rows(); ++r)
      for (Eigen::Index c = 0; c < a.cols(); ++c) plan_.regression[at(regressions + r * s + c)] = a(r, c);
  }

  AttributionPlan& plan_;
  const GaussianBase& base_;
  const std::vector<std::vector<std::int64_t>> orders_;
  Context ctx_;
  Tensor covariance_, sequence_, count_, gains_, log_sd_;
};

void add_noise(AttributionPlan& plan, const SharedNoise& noise) {
  const std::int64_t F = plan.features, each = plan.part_draws();
  plan.uniform.assign(at(plan.parts * (F + 1) * each), .5f);
  plan.score.assign(plan.uniform.size(), 0.f);
  for (std::int64_t k = 0; k < plan.draws; ++k)
    for (std::int64_t t = 0; t < F; ++t) {
      const float* u = noise.uniforms.ptr<float>() + k * F + t;
      const std::int64_t to = (k / each * (F + 1) + t) * each + k % each;
      plan.uniform[at(to)] = u[0];
      plan.score[at(to)] = math::inverse_normal(u[0]);
    }
}

}  // namespace

AttributionPlan make_attribution_plan(const Coalitions& coalitions, ConstTensorView masks,
                                      const std::vector<std::int64_t>& kept, const GaussianBase& base,
                                      const SharedNoise& noise) {
  constexpr std::int64_t S = AttributionPlan::block;
  const std::int64_t F = base.features(), D = masks.cols();
  const std::vector<std::vector<std::int64_t>> orders = orders_of_parts(noise);
  AttributionPlan plan;
  plan.features = F;
  plan.inputs = D;
  plan.parts = static_cast<std::int64_t>(orders.size());
  plan.draws = noise.uniforms.rows();
  plan.replicates = static_cast<std::int64_t>(noise.order.size());

  const auto unknown_of = [&](std::int64_t c) {
    std::int64_t count = 0;
    for (const std::int64_t column : kept)
      count += masks.ptr<float>()[c * masks.row_stride() + column] == 0 ? 1 : 0;
    return count;
  };
  std::vector<std::int64_t> unknown(at(coalitions.size()));
  for (std::int64_t c = 0; c < coalitions.size(); ++c) unknown[at(c)] = unknown_of(c);
  plan.coalition.resize(at(coalitions.size() - 1));
  std::iota(plan.coalition.begin(), plan.coalition.end(), std::int64_t{1});
  std::stable_sort(plan.coalition.begin(), plan.coalition.end(),
                   [&](std::int64_t a, std::int64_t b) { return unknown[at(a)] < unknown[at(b)]; });
  plan.filler.assign(plan.coalition.size(), 0);
  while (plan.coalition.size() % at(S) != 0) {  // what takes no draws stands in front
    plan.coalition.insert(plan.coalition.begin(), 1);
    plan.filler.insert(plan.filler.begin(), 1);
  }
  plan.blocks = static_cast<std::int64_t>(plan.coalition.size()) / S;
  for (const std::int64_t c : plan.coalition) {
    const float* raw = masks.ptr<float>() + c * masks.row_stride();
    plan.raw_mask.insert(plan.raw_mask.end(), raw, raw + D);
    for (const std::int64_t column : kept) plan.mask.push_back(raw[column]);
  }
  Planner planner(plan, base, orders);
  for (std::int64_t b = 0; b < plan.blocks; ++b) planner.add_block(b);
  add_noise(plan, noise);
  return plan;
}

}  // namespace emshap::io
