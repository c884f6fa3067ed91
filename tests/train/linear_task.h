#pragma once
// A small task for trainer tests: y = x w + b by least squares, with as many threads as there are shards.
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "emshap/core/random.h"
#include "emshap/layers/parameter_store.h"
#include "emshap/ops/linear.h"
#include "emshap/ops/loss.h"
#include "emshap/train/trainer.h"

namespace emshap::test {

struct LinearTask : TrainingTask {
  static constexpr std::int64_t features = 5;
  ParameterStore store;
  ParameterId weight, bias;
  Tensor x, y;
  std::int64_t validation;
  std::int64_t poison_step = -1;           ///< the loss of this step is NaN
  std::vector<double> planned_validation;  ///< when set, these are the validation losses, one after the other
  std::size_t validations = 0;
  std::vector<std::vector<double>> weights_seen;  ///< at each validation
  struct Member {
    Tensor x, y, prediction, gradient;
  };
  std::vector<Member> members;

  explicit LinearTask(std::int64_t rows, std::int64_t validation_count = 64, double noise = 0.0)
      : x({rows + validation_count, features}),
        y({rows + validation_count, 1}),
        validation(validation_count) {
    weight = store.add("weight", {features, 1}, Decay::yes);
    bias = store.add("bias", {1}, Decay::no);
    store.allocate(DType::f32);
    Generator random({.seed = 3, .purpose = RandomPurpose::test});
    for (std::int64_t r = 0; r < x.rows(); ++r) {
      double sum = .5;
      for (std::int64_t c = 0; c < features; ++c) {
        const double v = random.normal();
        x.ptr<float>()[r * features + c] = static_cast<float>(v);
        sum += v * static_cast<double>(c - 2);
      }
      y.ptr<float>()[r] = static_cast<float>(sum + noise * random.normal());
    }
  }
  std::vector<std::string> terms() const override { return {"mse", "twice"}; }
  ParameterStore& parameters() override { return store; }
  std::int64_t training_rows() const override { return x.rows() - validation; }
  std::int64_t validation_rows() const override { return validation; }
  void prepare(int count, std::int64_t) override { members.resize(static_cast<std::size_t>(count)); }

  void step(Context& ctx, const ShardPlan& plan, const StepInfo& info, TensorView out) override {
    Member& m = members[static_cast<std::size_t>(ctx.team().rank())];
    m.x.ensure({plan.local_rows, features}, DType::f32);
    m.y.ensure({plan.local_rows, 1}, DType::f32);
    m.prediction.ensure({plan.local_rows, 1}, DType::f32);
    m.gradient.ensure({plan.local_rows, 1}, DType::f32);
    for (std::int64_t i = 0; i < plan.local_rows; ++i) {
      const std::int64_t row = info.rows[static_cast<std::size_t>(i)];
      for (std::int64_t c = 0; c < features; ++c)
        m.x.ptr<float>()[i * features + c] = x.ptr<float>()[row * features + c];
      m.y.ptr<float>()[i] = y.ptr<float>()[row];
    }
    ops::linear_forward(ctx, m.x, store.value(weight), store.value(bias), Activation::identity, m.prediction);
    ops::loss_forward(ctx, Loss::mse, 1, m.prediction, m.y, out.columns(0, 1).reshaped({1}), m.gradient);
    out.ptr<float>()[1] = 2 * out.ptr<float>()[0];
    if (info.step == poison_step) out.ptr<float>()[0] = std::numeric_limits<float>::quiet_NaN();
    ops::linear_backward_params(ctx, m.x, m.gradient, store.gradient(weight), store.gradient(bias));
  }

  void validate(TeamPool& pool, std::span<double> out) override {
    weights_seen.push_back(store.get(weight));
    Context& ctx = pool.main();
    Tensor prediction({validation, 1}), loss({1});
    ops::linear_forward(ctx, x.view().rows(training_rows(), validation), store.value(weight),
                        store.value(bias), Activation::identity, prediction);
    ops::loss_forward(ctx, Loss::mse, 1, prediction, y.view().rows(training_rows(), validation), loss,
                      TensorView());
    out[0] = loss.ptr<float>()[0];
    out[1] = 2 * out[0];
    if (validations < planned_validation.size()) out[0] = planned_validation[validations];
    ++validations;
  }
};

}  // namespace emshap::test
