#pragma once
// Small set-GRUs and rows for their tests.
#include <cmath>
#include <vector>

#include "emshap/core/random.h"
#include "emshap/models/set_gru.h"
#include "support/compare.h"
#include "support/layer_harness.h"

namespace emshap::test {

/// Features with the given numbers of categories (0: numeric); a random correlated base.
inline SetGruOptions set_gru_options(const std::vector<std::int64_t>& categories, std::int64_t hidden = 6) {
  SetGruOptions o;
  o.layout.categories = categories;
  for (const std::int64_t count : categories)
    for (std::int64_t v = 0; v < count; ++v) {
      o.layout.values.push_back(-1 + 2 * static_cast<double>(v) / static_cast<double>(count - 1));
      o.layout.frequencies.push_back(2 * static_cast<double>(v + 1) /
                                     static_cast<double>(count * (count + 1)));
    }
  const std::size_t F = categories.size();
  const auto a = random_values(static_cast<std::int64_t>(F * F), 5);
  o.base.mean = random_values(static_cast<std::int64_t>(F), 6, .3);
  o.base.covariance.assign(F * F, 0);
  for (std::size_t i = 0; i < F; ++i)
    for (std::size_t j = 0; j < F; ++j) {
      for (std::size_t k = 0; k < F; ++k)
        o.base.covariance[i * F + j] += a[i * F + k] * a[j * F + k] / static_cast<double>(F);
      if (i == j) o.base.covariance[i * F + j] += .3;
    }
  o.hidden = hidden;
  o.embedding = 3;
  o.components = 2;
  return o;
}

struct SetGruRows {
  Tensor x, code, observed;
  FeatureRows rows() const { return {x, code}; }
  ProposalBatch batch() const { return {{x, code}, observed}; }
  ProposalBatch batch(const ShardPlan& plan) const {
    return {
        {x.view().rows(plan.row_begin, plan.local_rows), code.view().rows(plan.row_begin, plan.local_rows)},
        observed.view().rows(plan.row_begin, plan.local_rows)};
  }
};

/// B rows; an entry is absent with this probability.
inline SetGruRows set_gru_rows(const FeatureLayout& layout, std::int64_t B, DType dtype, double missing = 0) {
  const std::int64_t F = layout.features();
  auto x = random_values(B * F, 7);
  std::vector<double> observed(x.size(), 1.0);
  std::vector<std::int32_t> code(x.size(), -1);
  const auto offsets = layout.offsets();
  Generator random({.seed = 8});
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t t = i % static_cast<std::size_t>(F);
    if (layout.categories[t] > 0) {
      code[i] = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(layout.categories[t])));
      x[i] = layout.values[static_cast<std::size_t>(offsets[t] + code[i])];
    }
    if (random.uniform() < missing) observed[i] = 0;
  }
  return {make_tensor(x, {B, F}, dtype), Tensor::from(code, {B, F}), make_tensor(observed, {B, F}, dtype)};
}

/// Masks of all kinds: empty, full, random ones.
inline Tensor set_gru_masks(std::int64_t B, std::int64_t F, DType dtype) {
  std::vector<double> m(static_cast<std::size_t>(B * F));
  Generator random({.seed = 9});
  for (std::int64_t b = 0; b < B; ++b)
    for (std::int64_t t = 0; t < F; ++t)
      m[static_cast<std::size_t>(b * F + t)] = b % 5 == 0              ? 0
                                               : b % 5 == 1            ? 1
                                               : random.uniform() < .5 ? 1
                                                                       : 0;
  return make_tensor(m, {B, F}, dtype);
}

inline Tensor uniform_noise(std::int64_t rows, std::int64_t F, DType dtype) {
  std::vector<double> u(static_cast<std::size_t>(rows * F));
  Generator random({.seed = 10});
  for (double& v : u) v = static_cast<double>(static_cast<float>(.0005 + .999 * random.uniform()));
  return make_tensor(u, {rows, F}, dtype);
}

/// log q of value x or category `code` of feature t in row b.
inline double log_density(const SetGru& model, const Conditionals& q, std::int64_t b, std::int64_t t,
                          double x, std::int32_t code) {
  const std::int64_t F = model.layout().features(), C = model.components();
  if (model.layout().categorical(t)) {
    const auto p = to_doubles(q.categorical);
    return p[static_cast<std::size_t>(b * q.categorical.cols() +
                                      model.layout().offsets()[static_cast<std::size_t>(t)] + code)];
  }
  const auto m = to_doubles(q.mixture);
  const double* w = m.data() + (b * F + t) * 3 * C;
  double sum = 0;
  for (std::int64_t c = 0; c < C; ++c) {
    const double z = (x - w[C + c]) * std::exp(-w[2 * C + c]);
    sum += std::exp(w[c] - w[2 * C + c] - .5 * z * z - .91893853320467274178);
  }
  return std::log(sum);
}

}  // namespace emshap::test
