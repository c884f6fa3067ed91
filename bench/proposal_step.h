#pragma once
// The training step and the draws of a proposal network at F = 20, for both engines: clear gradients, loss
// and gradient, clipping, Adam, moving average; and 16 completions of each row, |S| uniform.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/layers/parameter_store.h"
#include "emshap/models/gaussian_base.h"
#include "emshap/models/proposal.h"
#include "emshap/ops/optimizer.h"
#include "emshap/train/masking.h"

namespace emshap::bench {

inline constexpr std::int64_t step_features = 20, step_draws = 16;

/// Standardised columns with a common factor and a bend, which a Gaussian does not have.
inline Tensor bent_rows(std::int64_t rows) {
  Tensor x({rows, step_features}, DType::f32);
  Generator random({.seed = 1, .purpose = RandomPurpose::test});
  for (std::int64_t r = 0; r < rows; ++r) {
    const double common = random.normal();
    for (std::int64_t t = 0; t < step_features; ++t) {
      const double bend = t % 2 == 0 ? common : (common * common - 1) / std::sqrt(2.0);
      x.ptr<float>()[r * step_features + t] = static_cast<float>(.8 * bend + .6 * random.normal());
    }
  }
  return x;
}

template <class Model>
class ProposalStep {
 public:
  /// `row_local`: rows are independent in training, so that small batches may be cut finely.
  ProposalStep(std::int64_t rows, int threads, bool row_local)
      : pool_(threads),
        quantum_(row_local ? ShardPlan::fine_quantum(rows) : 64),
        x_(bent_rows(rows)),
        ones_({rows, step_features}, DType::f32),
        mask_({rows, step_features}, DType::f32),
        noise_({rows * step_draws, 2 * step_features}, DType::f32),
        model_({.layout = FeatureLayout::numeric(step_features), .base = GaussianBase::fit(x_)}),
        members_(static_cast<std::size_t>(threads)) {
    std::fill_n(ones_.ptr<float>(), ones_.elements(), 1.f);
    std::vector<std::int64_t> numbers(static_cast<std::size_t>(rows));
    std::iota(numbers.begin(), numbers.end(), 0);
    draw_masks({.seed = 2, .purpose = RandomPurpose::masking}, numbers, {}, mask_);
    for (std::int64_t i = 0; i < mask_.elements(); ++i) unknown_ += mask_.ptr<float>()[i] == 0;
    Generator random({.seed = 2, .purpose = RandomPurpose::test});
    for (std::int64_t i = 0; i < noise_.elements(); ++i)
      noise_.ptr<float>()[i] = std::clamp(static_cast<float>(random.uniform()), .0001f, .9999f);
    model_.store().enable_ema();
    model_.prepare(threads, rows);
  }

  double train(double learning_rate) {
    ++step_;
    double loss = 0;
    const RandomKey key{
        .seed = 3, .purpose = RandomPurpose::masking, .step = static_cast<std::uint64_t>(step_)};
    pool_.run(
        x_.rows(),
        [&](Context& ctx, const ShardPlan& plan) {
          Member& m = members_[static_cast<std::size_t>(ctx.team().rank())];
          ParameterStore& store = model_.store();
          for (Tensor* scalar : {&m.loss, &m.norm, &m.scale}) scalar->ensure({1}, DType::f32);
          store.clear_gradients(ctx);
          const ProposalBatch batch{{x_.view().rows(plan.row_begin, plan.local_rows), {}},
                                    ones_.view().rows(plan.row_begin, plan.local_rows)};
          model_.train(ctx, plan, batch, sizes_, key, m.loss);
          ops::clip_scale(ctx, store.flat_gradients(), 5, m.norm, m.scale);
          ops::adam_step(ctx, {.learning_rate = learning_rate}, step_, store.flat_gradients(), m.scale,
                         ConstTensorView(), store.flat_values(), store.flat_moment1(), store.flat_moment2());
          ops::ema_update(ctx, .99, store.flat_values(), store.flat_ema());
          if (ctx.team().rank() == 0) loss = m.loss.template ptr<float>()[0];
        },
        quantum_);
    return loss;
  }

  void draw() {
    pool_.run(
        x_.rows(),
        [&](Context& ctx, const ShardPlan& plan) {
          Member& m = members_[static_cast<std::size_t>(ctx.team().rank())];
          model_.draw(ctx, {x_.view().rows(plan.row_begin, plan.local_rows), {}},
                      mask_.view().rows(plan.row_begin, plan.local_rows), step_draws,
                      noise_.view().rows(plan.row_begin * step_draws, plan.local_rows * step_draws),
                      DrawMode::autoregressive, m.draws);
        },
        quantum_);
  }

  double rows() const { return static_cast<double>(x_.rows()); }
  /// Entries of all rows that draw() knows and draws (for each of its completions).
  double known() const { return static_cast<double>(mask_.elements()) - unknown_; }
  double unknown() const { return unknown_; }

 private:
  struct Member {
    Tensor loss, norm, scale;
    Draws draws;
  };
  TeamPool pool_;
  std::int64_t quantum_;
  Tensor x_, ones_, mask_, noise_;
  double unknown_ = 0;
  Model model_;
  std::vector<double> sizes_ = std::vector<double>(step_features, 1.0 / step_features);
  std::vector<Member> members_;
  std::int64_t step_ = 0;
};

}  // namespace emshap::bench
