#include <doctest/doctest.h>
#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/models/power_predictor.h"
#include "emshap/ops/loss.h"
#include "emshap/ops/optimizer.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/layer_harness.h"

using namespace emshap;
using namespace emshap::test;

namespace {

void check_model(const PowerPredictorOptions& o) {
  LayerCase c = layer_case(
      fmt::format(
          "PowerPredictor of {} hidden layers, {} residual blocks, {}, batch norm {}, dropout {}, {} members",
          o.hidden.size(), o.residual_blocks, to_string(o.activation), o.batch_norm, o.dropout, o.members),
      o.features, 1,
      [o](ParameterStore&, DType dtype, Device device) { return PowerPredictor(o, dtype, device); });
  c.batch_statistics = o.batch_norm && !o.hidden.empty();
  c.dropout = o.dropout > 0 && !o.hidden.empty();
  c.f32_tolerance = 1e-4;
  check_layer(c);
}

/// The trainer's step on a team, with all that it reuses from step to step.
class Training {
 public:
  Training(const PowerPredictorOptions& options, std::int64_t B, int threads, Backend backend)
      : model(options),
        rows_(B),
        pool_(make_pool(threads, backend)),
        caches_(static_cast<std::size_t>(threads)),
        x_(make_tensor(random_values(B * options.features, 1), {B, options.features}, DType::f32)),
        target_(make_tensor(random_values(B, 2), {B, 1}, DType::f32)),
        y_({B, 1}),
        dy_({B, 1}) {
    for (auto* v : {&losses_, &norms_, &scales_})
      for (int t = 0; t < threads; ++t) v->push_back(Tensor::zeros({1}));
    body_ = [this](Context& ctx, const ShardPlan& plan) { member(ctx, plan); };
  }

  double step() {
    ++step_;
    pool_->run(rows_, body_);
    return static_cast<double>(losses_[0].ptr<float>()[0]);
  }
  PowerPredictor model;

 private:
  void member(Context& ctx, const ShardPlan& plan) {
    const auto rank = static_cast<std::size_t>(ctx.team().rank());
    const auto mine = [&](Tensor& t) { return t.view().rows(plan.row_begin, plan.local_rows); };
    ParameterStore& s = model.store();
    caches_[rank].step = step_;
    s.clear_gradients(ctx);
    model.forward(ctx, mine(x_), mine(y_), caches_[rank]);
    ops::loss_forward(ctx, Loss::mse, 1, mine(y_), mine(target_), losses_[rank], mine(dy_));
    model.backward(ctx, caches_[rank], mine(dy_), {});
    ops::clip_scale(ctx, s.flat_gradients(), 1, norms_[rank], scales_[rank]);
    for (const auto& r : s.trainable_ranges()) {
      const auto part = [&](TensorView flat) { return flat.columns(r.begin, r.count).reshaped({r.count}); };
      ops::adam_step(ctx, {}, static_cast<std::int64_t>(step_), part(s.flat_gradients()), scales_[rank],
                     s.decay_mask().columns(r.begin, r.count).reshaped({r.count}), part(s.flat_values()),
                     part(s.flat_moment1()), part(s.flat_moment2()));
    }
  }

  std::int64_t rows_;
  std::uint64_t step_ = 0;
  std::unique_ptr<TeamPool> pool_;
  std::vector<PowerPredictor::Cache> caches_;
  Tensor x_, target_, y_, dy_;
  std::vector<Tensor> losses_, norms_, scales_;
  std::function<void(Context&, const ShardPlan&)> body_;
};

}  // namespace

TEST_CASE("power predictor in the layer harness") {
  check_model({.features = 6, .hidden = {9, 5}});
  check_model(
      {.features = 6, .hidden = {7, 5}, .activation = Activation::silu, .dropout = 0, .residual_blocks = 1});
  check_model({.features = 6,
               .hidden = {8},
               .activation = Activation::tanh,
               .batch_norm = false,
               .dropout = 0,
               .residual_blocks = 2});
  check_model({.features = 3, .hidden = {}});
  check_model({.features = 5, .hidden = {6, 4}, .dropout = 0, .residual_blocks = 1, .members = 3});
  check_model({.features = 5, .hidden = {6}, .batch_norm = false, .dropout = .2, .members = 2});
}

TEST_CASE("members differ, and the prediction is their mean") {
  PowerPredictor model({.features = 5, .hidden = {8}, .batch_norm = false, .dropout = 0, .members = 3});
  Context ctx;
  const Tensor x = make_tensor(random_values(33 * 5, 1), {33, 5}, DType::f32);
  Tensor each({33, 3}), mean({33, 1}), inferred({33, 1});
  PowerPredictor::Cache cache;
  model.forward_members(ctx, x, each, cache);
  model.forward(ctx, x, mean, cache);
  model.infer(ctx, x, inferred);
  for (std::int64_t r = 0; r < 33; ++r) {
    const float* e = each.ptr<float>() + 3 * r;
    CHECK(e[0] != e[1]);
    CHECK(e[1] != e[2]);
    CHECK(mean.ptr<float>()[r] == doctest::Approx((e[0] + e[1] + e[2]) / 3).epsilon(1e-5));
  }
  check_close("infer", inferred, mean, {1e-6, 1e-6});
}

TEST_CASE("power predictor refuses impossible sizes") {
  CHECK_THROWS_AS(PowerPredictor({.features = 0}), ConfigError);
  CHECK_THROWS_AS(PowerPredictor({.features = 3, .hidden = {0}}), ConfigError);
  CHECK_THROWS_AS(PowerPredictor({.features = 3, .dropout = 1}), ConfigError);
  CHECK_THROWS_AS(PowerPredictor({.features = 3, .residual_blocks = -1}), ConfigError);
  CHECK_THROWS_AS(PowerPredictor({.features = 3, .members = 0}), ConfigError);
}

TEST_CASE("the default model has the size that its options say") {
  const PowerPredictor model({.features = 20});
  CHECK(model.store().parameter_count() == 20 * 128 + 2 * 128 + 128 * 64 + 2 * 64 + 64 + 1);
}

TEST_CASE("a training step allocates nothing after the second") {
  for (const Backend backend : cpu_levels())
    for (const int threads : {1, 2}) {
      Training training({.features = 20, .residual_blocks = 1}, 256, threads, backend);
      training.step();
      training.step();
      const std::int64_t before = allocation_count();
      for (int i = 0; i < 5; ++i) training.step();
      INFO(std::string(to_string(backend)) << ", " << threads << " threads");
      CHECK(allocation_count() == before);
    }
}

TEST_CASE("training gives the same bits for any number of threads") {
  for (const Backend backend : cpu_levels())
    for (const std::int64_t B : {33, 500}) {
      Training alone({.features = 20, .dropout = .2}, B, 1, backend);
      std::vector<double> losses;
      for (int i = 0; i < 5; ++i) losses.push_back(alone.step());
      CHECK(losses.back() < losses.front());
      for (const int threads : {2, 3, 7}) {
        Training team({.features = 20, .dropout = .2}, B, threads, backend);
        std::vector<double> same;
        for (int i = 0; i < 5; ++i) same.push_back(team.step());
        const std::string what = fmt::format("{}, B = {}, {} threads", to_string(backend), B, threads);
        check_same_bits(what + ", losses", same, losses);
        check_same_bits(what + ", values", to_doubles(team.model.store().flat_values()),
                        to_doubles(alone.model.store().flat_values()));
        check_same_bits(what + ", buffers", to_doubles(team.model.store().flat_buffers()),
                        to_doubles(alone.model.store().flat_buffers()));
      }
    }
}
