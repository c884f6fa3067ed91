#pragma once
// What every trainable proposal is held to beside proposal_contract.h.
#include <memory>
#include <string>

#include "emshap/layers/parameter_store.h"
#include "emshap/ops/elementwise.h"
#include "proposal_contract.h"
#include "support/gradient_check.h"

namespace emshap::test {

/// Loss of one step, with the gradient added to the store; on a team.
inline double train_step(TrainableProposal& p, TeamPool& pool, const ContractRows& data,
                         const Tensor& observed, const std::vector<double>& sizes, std::uint64_t step) {
  const std::int64_t B = data.x.rows();
  double result = 0;
  pool.run(B, [&](Context& ctx, const ShardPlan& plan) {
    p.store().clear_gradients(ctx);
    Tensor loss({1}, p.dtype());
    const auto mine = [&](const Tensor& t) { return t.view().rows(plan.row_begin, plan.local_rows); };
    p.train(ctx, plan, {{mine(data.x), mine(data.code)}, mine(observed)}, sizes,
            {.seed = 3, .purpose = RandomPurpose::masking, .step = step}, loss);
    if (ctx.team().rank() == 0) result = to_doubles(loss)[0];
  });
  return result;
}

/// Nothing stays at a special value such as 0, where relu has its kink.
inline void randomise_parameters(ParameterStore& store) {
  int index = 0;
  for (const ParameterStore::Entry& e : store.parameters()) {
    const auto n = static_cast<std::uint64_t>(index);
    store.set(ParameterId{index++}, random_values(e.shape.elements(), 500 + n, .4));
  }
}

/// Everything is there but what `contract_rows` calls missing; row 2 has no value at all.
inline Tensor contract_observed(const ContractRows& data, DType dtype) {
  const std::vector<double> mask = to_doubles(data.mask), target = to_doubles(data.target);
  std::vector<double> observed;
  for (std::size_t i = 0; i < mask.size(); ++i)
    observed.push_back(static_cast<std::int64_t>(i) / data.x.cols() == 2 ? 0 : mask[i] + target[i] > 0);
  return make_tensor(observed, {data.x.rows(), data.x.cols()}, dtype);
}

inline std::vector<double> even_sizes(std::int64_t F) {
  return std::vector<double>(static_cast<std::size_t>(F), 1. / static_cast<double>(F));
}

/// `make(dtype)` makes the same proposal each time; a small one, since every parameter is checked.
template <class Make>
void check_trainable(const Make& make) {
  {  // the gradient
    const auto p = make(DType::f64);
    const std::int64_t F = p->layout().features();
    randomise_parameters(p->store());
    const ContractRows data = contract_rows(p->layout(), 9, DType::f64);
    const Tensor observed = contract_observed(data, DType::f64);
    TeamPool pool;
    p->prepare(1, 9);
    const auto loss = [&] { return train_step(*p, pool, data, observed, even_sizes(F), 1); };
    CHECK(std::isfinite(loss()));
    const std::vector<double> analytic = to_doubles(p->store().flat_gradients());
    const TensorView values = p->store().flat_values();
    check_gradient("gradient", {values.ptr<double>(), static_cast<std::size_t>(values.elements())}, analytic,
                   loss);
    // What is missing takes no part.
    const double before = loss();
    ContractRows other = contract_rows(p->layout(), 9, DType::f64);
    for (std::int64_t i = 0; i < 9 * F; ++i)
      if (observed.ptr<double>()[i] == 0)
        other.x.ptr<double>()[i] = 55, other.code.ptr<std::int32_t>()[i] = -1;
    CHECK(train_step(*p, pool, other, observed, even_sizes(F), 1) == before);
    check_same_bits("gradient", to_doubles(p->store().flat_gradients()), analytic);
    if (F > 1) CHECK(train_step(*p, pool, data, observed, even_sizes(F), 2) != before);  // other masks
  }
  // The bits do not depend on the number of threads; rows of the batch are cut into three shards.
  std::vector<double> first;
  double first_loss = 0;
  for (const int threads : {1, 2, 3, 7}) {
    const auto p = make(DType::f32);
    randomise_parameters(p->store());
    const ContractRows data = contract_rows(p->layout(), 150, DType::f32);
    TeamPool pool(threads);
    p->prepare(threads, 150);
    const double loss = train_step(*p, pool, data, contract_observed(data, DType::f32),
                                   even_sizes(p->layout().features()), 1);
    const std::vector<double> gradient = to_doubles(p->store().flat_gradients());
    if (threads == 1) first = gradient, first_loss = loss;
    CAPTURE(threads);
    CHECK(loss == first_loss);
    check_same_bits("gradient", gradient, first);
    // Nothing is allocated in later steps.
    const Tensor observed = contract_observed(data, DType::f32);
    const std::vector<double> sizes = even_sizes(p->layout().features());
    std::int64_t allocations = 0;
    Tensor loss_value({1});
    for (std::uint64_t step = 0; step < 3; ++step) {
      if (step == 2) allocations = allocation_count();
      pool.run(150, [&](Context& ctx, const ShardPlan& plan) {
        const auto mine = [&](const Tensor& t) { return t.view().rows(plan.row_begin, plan.local_rows); };
        Tensor& to = loss_value;
        if (ctx.team().size() > 1) return;
        p->train(ctx, plan, {{mine(data.x), mine(data.code)}, mine(observed)}, sizes, {.step = step}, to);
      });
    }
    CHECK(allocation_count() == allocations);
  }
  // A batch without rows.
  const auto p = make(DType::f32);
  const ContractRows none = contract_rows(p->layout(), 0, DType::f32);
  TeamPool pool;
  CHECK(train_step(*p, pool, none, contract_observed(none, DType::f32), even_sizes(p->layout().features()),
                   1) == 0);
}

}  // namespace emshap::test
