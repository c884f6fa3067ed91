#pragma once
// What every proposal is held to, whatever is inside (models/proposal.h).
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "emshap/core/error.h"
#include "emshap/models/gaussian_base.h"
#include "emshap/models/proposal.h"
#include "support/compare.h"
#include "support/devices.h"

namespace emshap::test {

/// B rows in the space of a layout; categorical entries hold one of their values.
struct ContractRows {
  Tensor x, code, mask, target;
  FeatureRows rows() const { return {x, code}; }
};

inline FeatureLayout mixed_layout(std::int64_t F) {
  FeatureLayout layout = FeatureLayout::numeric(F);
  if (F < 4) return layout;
  layout.categories[1] = 3;
  layout.categories[3] = 2;
  layout.values = {-1.2, 0, 1.4, -.7, 1.1};
  layout.frequencies = {.25, .5, .25, .6, .4};
  return layout;
}

/// A correlated Gaussian over F features.
inline GaussianBase correlated_base(std::int64_t F) {
  GaussianBase base;
  const auto n = static_cast<std::size_t>(F);
  const std::vector<double> a = random_values(F * F, 21);
  base.mean = random_values(F, 22, .2);
  base.covariance.assign(n * n, 0);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) {
      for (std::size_t k = 0; k < n; ++k)
        base.covariance[i * n + j] += a[i * n + k] * a[j * n + k] / static_cast<double>(F);
      if (i == j) base.covariance[i * n + j] += .3;
    }
  return base;
}

/// Masks: row 0 empty, row 1 full, the others mixed. A few unknown entries are no target ("missing").
inline ContractRows contract_rows(const FeatureLayout& layout, std::int64_t B, DType dtype) {
  const std::int64_t F = layout.features();
  std::vector<double> x = random_values(B * F, 31), coin = random_values(B * F, 32),
                      other = random_values(B * F, 33);
  std::vector<double> mask, target;
  std::vector<std::int32_t> code;
  const auto offset = layout.offsets();
  for (std::int64_t i = 0; i < B * F; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const auto t = static_cast<std::size_t>(i % F);
    const std::int64_t V = layout.categories[t], b = i / F;
    code.push_back(
        V == 0 ? -1 : static_cast<std::int32_t>(std::abs(other[at]) * 10) % static_cast<std::int32_t>(V));
    if (V > 0) x[at] = layout.values[static_cast<std::size_t>(offset[t] + code.back())];
    mask.push_back(b == 0 ? 0 : b == 1 ? 1 : coin[at] > 0);
    target.push_back(mask.back() > 0 || (b > 1 && other[at] > 1.2) ? 0 : 1);
  }
  const Shape shape{B, F};
  return {make_tensor(x, shape, dtype), Tensor::from(code, shape), make_tensor(mask, shape, dtype),
          make_tensor(target, shape, dtype)};
}

inline Tensor contract_noise(std::int64_t rows, std::int64_t F, DType dtype) {
  std::vector<double> u = random_values(rows * F, 41);
  for (double& v : u) v = .5 * std::erfc(-v * M_SQRT1_2);
  return make_tensor(u, {rows, F}, dtype);
}

/// log q of row r's entries where `target` is 1, from sequential's output.
inline double log_density(const Conditionals& q, const FeatureLayout& layout, std::int64_t components,
                          const std::vector<double>& x, const std::vector<std::int32_t>& code,
                          const std::vector<double>& target, std::int64_t r) {
  const std::int64_t F = layout.features(), C = components;
  const std::vector<double> mixture = to_doubles(q.mixture), category = to_doubles(q.categorical);
  const auto offset = layout.offsets();
  double total = 0;
  for (std::int64_t t = 0; t < F; ++t) {
    const auto i = static_cast<std::size_t>(r * F + t);
    if (target[i] == 0) continue;
    if (layout.categorical(t)) {
      total += category[static_cast<std::size_t>(r * layout.total_categories() +
                                                 offset[static_cast<std::size_t>(t)] + code[i])];
      continue;
    }
    double density = 0;
    for (std::int64_t c = 0; c < C; ++c) {
      const double* m = mixture.data() + (r * F + t) * 3 * C + c;
      const double z = (x[i] - m[C]) / std::exp(m[2 * C]);
      density += std::exp(m[0] - .5 * z * z - m[2 * C]) / std::sqrt(2 * M_PI);
    }
    total += std::log(density);
  }
  return total;
}

inline std::vector<std::int32_t> codes(const Tensor& t) {
  if (t.elements() == 0) return {};
  return {t.ptr<std::int32_t>(), t.ptr<std::int32_t>() + t.elements()};
}

inline void same_conditionals(const Conditionals& a, const Conditionals& b) {
  check_same_bits("mixture", to_doubles(a.mixture), to_doubles(b.mixture));
  check_same_bits("categorical", to_doubles(a.categorical), to_doubles(b.categorical));
  check_same_bits("context", to_doubles(a.context), to_doubles(b.context));
}

inline std::vector<double> slice(const Tensor& t, std::int64_t row) {
  const std::vector<double> all = to_doubles(t);
  const std::int64_t n = t.rows() == 0 ? 0 : t.elements() / t.shape()[0];
  return {all.begin() + row * n, all.begin() + (row + 1) * n};
}

/// The same bits, but at level eigen, whose product takes another path for a single row.
inline void same_rows(const Context& ctx, const char* what, std::span<const double> got,
                      std::span<const double> want, double limit) {
  if (ctx.backend() == Backend::cpu_eigen)
    check_close(what, got, want, {limit, limit});
  else
    check_same_bits(what, got, want);
}

/// `order_matters`: the state depends (slightly) on the order in which features came.
inline void check_proposal(const Proposal& p, Context& ctx, bool order_matters = false, std::int64_t K = 5) {
  const FeatureLayout& layout = p.layout();
  const std::int64_t F = layout.features(), C = p.components(), V = layout.total_categories(), B = 37;
  const DType dtype = p.dtype();
  const ContractRows data = contract_rows(layout, B, dtype);
  const std::vector<double> x = to_doubles(data.x), mask = to_doubles(data.mask),
                            target = to_doubles(data.target);
  const double limit = dtype == DType::f32 ? 2e-4 : 1e-9;
  const auto offset = layout.offsets();

  // Shapes; entries not asked for are 0, the others distributions.
  Conditionals q, s;
  p.conditionals(ctx, data.rows(), data.mask, q);
  p.sequential(ctx, data.rows(), data.mask, data.target, s);
  for (const Conditionals* out : {&q, &s}) {
    CHECK(out->mixture.shape() == Shape{B, F, 3 * C});
    CHECK(out->categorical.shape() == Shape{B, V});
    CHECK(out->context.shape() == Shape{B, p.context_width()});
    const std::vector<double> m = to_doubles(out->mixture), c = to_doubles(out->categorical);
    for (std::int64_t i = 0; i < B * F; ++i) {
      const std::int64_t t = i % F, b = i / F;
      const auto at = static_cast<std::size_t>(i);
      const bool asked = out == &q ? mask[at] == 0 : target[at] == 1;
      double weights = 0, mass = 0, size = 0;
      for (std::int64_t k = 0; k < C; ++k) weights += std::exp(m[static_cast<std::size_t>(i * 3 * C + k)]);
      for (std::int64_t k = 0; k < 3 * C; ++k) size += std::abs(m[static_cast<std::size_t>(i * 3 * C + k)]);
      for (std::int64_t v = offset[static_cast<std::size_t>(t)]; v < offset[static_cast<std::size_t>(t) + 1];
           ++v) {
        mass += std::exp(c[static_cast<std::size_t>(b * V + v)]);
        if (!asked) CHECK(c[static_cast<std::size_t>(b * V + v)] == 0);
      }
      CHECK(std::isfinite(size));
      if (!asked || layout.categorical(t)) CHECK(size == 0);
      if (asked && !layout.categorical(t)) CHECK(weights == doctest::Approx(1).epsilon(limit));
      if (asked && layout.categorical(t)) CHECK(mass == doctest::Approx(1).epsilon(limit));
    }
  }

  // What is not known changes nothing; what is missing changes nothing in the chain either.
  std::vector<double> x_other = x;
  std::vector<std::int32_t> code_other = codes(data.code);
  for (std::size_t i = 0; i < x.size(); ++i)
    if (mask[i] == 0) x_other[i] = 77, code_other[i] = -1;
  const Tensor blank = make_tensor(x_other, {B, F}, dtype), no_code = Tensor::from(code_other, {B, F});
  Conditionals other;
  p.conditionals(ctx, {blank, no_code}, data.mask, other);
  same_conditionals(other, q);
  for (std::size_t i = 0; i < x.size(); ++i)
    if (target[i] == 1) x_other[i] = x[i], code_other[i] = codes(data.code)[i];
  p.sequential(ctx, {make_tensor(x_other, {B, F}, dtype), Tensor::from(code_other, {B, F})}, data.mask,
               data.target, other);
  same_conditionals(other, s);

  // Rows are independent, however they are cut.
  for (const std::int64_t b : {std::int64_t{0}, std::int64_t{1}, B - 1}) {
    const FeatureRows one{data.x.view().rows(b, 1), data.code.view().rows(b, 1)};
    p.conditionals(ctx, one, data.mask.view().rows(b, 1), other);
    same_rows(ctx, "a row alone", to_doubles(other.mixture), slice(q.mixture, b), limit);
    same_rows(ctx, "a row alone", to_doubles(other.context), slice(q.context, b), limit);
    p.sequential(ctx, one, data.mask.view().rows(b, 1), data.target.view().rows(b, 1), other);
    same_rows(ctx, "a row alone", to_doubles(other.mixture), slice(s.mixture, b), limit);
    same_rows(ctx, "a row alone", to_doubles(other.categorical), slice(s.categorical, b), limit);
  }

  // Draws: known entries are kept, log_q is that of the chain (or of the single features).
  const Tensor noise = contract_noise(B * K, F, dtype);
  for (const DrawMode mode : {DrawMode::autoregressive, DrawMode::one_shot}) {
    Draws d;
    p.draw(ctx, {blank, no_code}, data.mask, K, noise, mode, d);
    CHECK(d.x.shape() == Shape{B * K, F});
    CHECK(d.context.shape() == Shape{B, p.context_width()});
    same_rows(ctx, "context", to_doubles(d.context), to_doubles(q.context), limit);
    const std::vector<double> drawn = to_doubles(d.x), log_q = to_doubles(d.log_q);
    std::vector<std::int32_t> code = codes(d.code);
    code.resize(drawn.size(), -1);
    std::vector<double> each_mask, unknown;
    for (std::int64_t i = 0; i < B * K * F; ++i) {
      const auto at = static_cast<std::size_t>(i), from = static_cast<std::size_t>(i / F / K * F + i % F);
      const std::int64_t t = i % F;
      each_mask.push_back(mask[from]);
      unknown.push_back(1 - mask[from]);
      if (mask[from] == 1) CHECK(drawn[at] == x[from]);
      if (!layout.categorical(t)) continue;
      REQUIRE(code[at] >= 0);
      REQUIRE(code[at] < layout.categories[static_cast<std::size_t>(t)]);
      CHECK(drawn[at] ==
            doctest::Approx(
                layout.values[static_cast<std::size_t>(offset[static_cast<std::size_t>(t)] + code[at])]));
    }
    Conditionals chain;
    const Tensor codes_drawn = Tensor::from(code, {B * K, F});
    if (mode == DrawMode::autoregressive)
      p.sequential(ctx, {d.x, codes_drawn}, make_tensor(each_mask, {B * K, F}, dtype),
                   make_tensor(unknown, {B * K, F}, dtype), chain);
    else
      p.conditionals(ctx, {d.x, codes_drawn}, make_tensor(each_mask, {B * K, F}, dtype), chain);
    for (std::int64_t r = 0; r < B * K; ++r) {
      const double want = log_density(chain, layout, C, drawn, code, unknown, r);
      INFO("draw " << r << " log q " << log_q[static_cast<std::size_t>(r)] << " expected " << want);
      CHECK(std::abs(log_q[static_cast<std::size_t>(r)] - want) <=
            limit * (1 + std::abs(want)) * static_cast<double>(F));
    }
    // With targets the others stay out: log_q has the factors of the targets given what is known and drawn.
    Draws some;
    p.draw(ctx, {blank, no_code}, data.mask, K, noise, mode, some, data.target);
    const std::vector<double> partly = to_doubles(some.x);
    std::vector<std::int32_t> some_code = codes(some.code);
    some_code.resize(partly.size(), -1);
    std::vector<double> each_target;
    for (std::int64_t i = 0; i < B * K * F; ++i) {
      const auto at = static_cast<std::size_t>(i), from = static_cast<std::size_t>(i / F / K * F + i % F);
      each_target.push_back(mask[from] == 1 ? 0 : target[from]);
      if (mask[from] == 1) CHECK(partly[at] == x[from]);
      if (mask[from] == 0 && target[from] == 0) {
        CHECK(partly[at] == 0);
        CHECK(some_code[at] == -1);
      }
    }
    const FeatureRows completed{some.x, some.code.elements() > 0 ? some.code.view() : ConstTensorView()};
    if (mode == DrawMode::autoregressive)
      p.sequential(ctx, completed, make_tensor(each_mask, {B * K, F}, dtype),
                   make_tensor(each_target, {B * K, F}, dtype), chain);
    else
      p.conditionals(ctx, completed, make_tensor(each_mask, {B * K, F}, dtype), chain);
    for (std::int64_t r = 0; r < B * K; ++r) {
      const double want = log_density(chain, layout, C, partly, some_code, each_target, r);
      CHECK(std::abs(to_doubles(some.log_q)[static_cast<std::size_t>(r)] - want) <=
            limit * (1 + std::abs(want)) * static_cast<double>(F));
    }
    // Noise shared by all rows is the same noise written out; rows may come in parts.
    std::vector<double> written;
    const std::vector<double> u = to_doubles(noise);
    for (std::int64_t b = 0; b < B; ++b) written.insert(written.end(), u.begin(), u.begin() + K * F);
    Draws shared, out, part;
    p.draw(ctx, data.rows(), data.mask, K, noise.view().rows(0, K), mode, shared);
    p.draw(ctx, data.rows(), data.mask, K, make_tensor(written, {B * K, F}, dtype), mode, out);
    check_same_bits("shared noise", to_doubles(shared.x), to_doubles(out.x));
    check_same_bits("shared noise", to_doubles(shared.log_q), to_doubles(out.log_q));
    p.draw(ctx, {data.x.view().rows(3, 2), data.code.view().rows(3, 2)}, data.mask.view().rows(3, 2), K,
           noise.view().rows(3 * K, 2 * K), mode, part);
    same_rows(
        ctx, "rows in parts", to_doubles(part.x),
        std::span(drawn).subspan(static_cast<std::size_t>(3 * K * F), static_cast<std::size_t>(2 * K * F)),
        limit);
  }

  // In another order each feature is drawn from what is known and what comes before it in that order.
  const double order_limit = order_matters ? .05 : 10 * limit;
  std::vector<std::int64_t> order(static_cast<std::size_t>(F));
  for (std::int64_t i = 0; i < F; ++i) order[static_cast<std::size_t>(i)] = (2 * F - 1 - i + F / 2) % F;
  Draws turned;
  p.draw(ctx, {blank, no_code}, data.mask, K, noise, DrawMode::autoregressive, turned, data.target, order);
  const std::vector<double> turned_x = to_doubles(turned.x);
  std::vector<double> chain_mask, chain_log_q(static_cast<std::size_t>(B * K), 0.);
  for (std::int64_t i = 0; i < B * K * F; ++i)
    chain_mask.push_back(mask[static_cast<std::size_t>(i / F / K * F + i % F)]);
  std::int64_t apart = 0;
  for (const std::int64_t t : order) {
    std::vector<double> now(turned_x.size(), 0.);
    for (std::int64_t r = 0; r < B * K; ++r)
      now[static_cast<std::size_t>(r * F + t)] = target[static_cast<std::size_t>(r / K * F + t)];
    std::vector<std::int32_t> code = codes(turned.code);
    code.resize(turned_x.size(), -1);
    Draws alone;
    p.draw(ctx, {turned.x, Tensor::from(code, {B * K, F})}, make_tensor(chain_mask, {B * K, F}, dtype), 1,
           noise, DrawMode::one_shot, alone, make_tensor(now, {B * K, F}, dtype));
    const std::vector<double> x_alone = to_doubles(alone.x), log_q = to_doubles(alone.log_q);
    for (std::int64_t r = 0; r < B * K; ++r) {
      const auto at = static_cast<std::size_t>(r * F + t);
      if (now[at] == 0) continue;
      // A component taken just so may be another one after a small change of the state.
      apart += std::abs(x_alone[at] - turned_x[at]) <= order_limit * (1 + std::abs(x_alone[at])) ? 0 : 1;
      chain_log_q[static_cast<std::size_t>(r)] += log_q[static_cast<std::size_t>(r)];
      chain_mask[at] = 1;
    }
  }
  CHECK(apart <= (order_matters ? B * K / 200 : 0));
  for (std::int64_t r = 0; r < B * K; ++r)
    CHECK(std::abs(to_doubles(turned.log_q)[static_cast<std::size_t>(r)] -
                   chain_log_q[static_cast<std::size_t>(r)]) <=
          order_limit * (1 + std::abs(chain_log_q[static_cast<std::size_t>(r)])));
  std::vector<std::int64_t> ascending(static_cast<std::size_t>(F));
  for (std::int64_t t = 0; t < F; ++t) ascending[static_cast<std::size_t>(t)] = t;
  Draws straight, given;
  p.draw(ctx, data.rows(), data.mask, K, noise, DrawMode::autoregressive, straight);
  p.draw(ctx, data.rows(), data.mask, K, noise, DrawMode::autoregressive, given, {}, ascending);
  check_same_bits("ascending", to_doubles(given.x), to_doubles(straight.x));
  ascending.push_back(0);
  CHECK_THROWS_AS(
      p.draw(ctx, data.rows(), data.mask, K, noise, DrawMode::autoregressive, given, {}, ascending),
      ConfigError);
  ascending.pop_back();
  if (F > 1) {
    ascending[1] = 0;
    CHECK_THROWS_AS(
        p.draw(ctx, data.rows(), data.mask, K, noise, DrawMode::autoregressive, given, {}, ascending),
        ConfigError);
  }

  // No rows, and arguments that do not fit.
  const ContractRows none = contract_rows(layout, 0, dtype);
  p.conditionals(ctx, none.rows(), none.mask, other);
  CHECK(other.mixture.shape() == Shape{0, F, 3 * C});
  p.sequential(ctx, none.rows(), none.mask, none.target, other);
  Draws d;
  p.draw(ctx, none.rows(), none.mask, 2, contract_noise(2, F, dtype), DrawMode::autoregressive, d);
  CHECK(d.x.shape() == Shape{0, F});
  const Tensor wide({B, F + 1}, dtype);
  CHECK_THROWS_AS(p.conditionals(ctx, data.rows(), wide, other), ShapeError);
  CHECK_THROWS_AS(p.conditionals(ctx, {wide, data.code}, data.mask, other), ShapeError);
  CHECK_THROWS_AS(p.sequential(ctx, data.rows(), data.mask, wide, other), ShapeError);
  CHECK_THROWS_AS(p.draw(ctx, data.rows(), data.mask, K, wide, DrawMode::one_shot, d), ShapeError);
  CHECK_THROWS_AS(p.draw(ctx, data.rows(), data.mask, K, noise, DrawMode::one_shot, d, wide), ShapeError);
  CHECK_THROWS_AS(p.draw(ctx, data.rows(), data.mask, 0, noise, DrawMode::one_shot, d), ConfigError);
}

}  // namespace emshap::test
