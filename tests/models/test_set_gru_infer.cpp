// Conditional distributions and draws of the set-GRU.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "emshap/core/error.h"
#include "emshap/ops/density.h"
#include "models/proposal_contract.h"
#include "models/set_gru_reference.h"
#include "models/set_gru_support.h"
#include "support/devices.h"

using namespace emshap;
using namespace emshap::test;

namespace {

const std::vector<std::int64_t> mixed{0, 3, 0, 0, 2, 0};
constexpr std::int64_t F = 6;

struct Fixture {
  explicit Fixture(DType dtype, std::int64_t B, double missing = 0)
      : model(set_gru_options(mixed), dtype),
        rows(set_gru_rows(model.layout(), B, dtype, missing)),
        mask(set_gru_masks(B, F, dtype)) {
    randomise(model.store(), 2);
  }
  SetGru model;
  SetGruRows rows;
  Tensor mask;
  bool known(std::int64_t b, std::int64_t t) const {
    return to_doubles(mask)[static_cast<std::size_t>(b * F + t)] > 0;
  }
};

std::vector<double> all_of(const Conditionals& q) {
  auto all = to_doubles(q.mixture);
  for (const Tensor* t : {&q.categorical, &q.context})
    for (const double v : to_doubles(*t)) all.push_back(v);
  return all;
}

std::vector<double> all_of(const Draws& d) {
  auto all = to_doubles(d.x);
  for (const Tensor* t : {&d.log_q, &d.context})
    for (const double v : to_doubles(*t)) all.push_back(v);
  for (std::int64_t i = 0; i < d.code.elements(); ++i) all.push_back(d.code.ptr<std::int32_t>()[i]);
  return all;
}

/// Other numbers where the mask is 0.
SetGruRows change_unknown(const Fixture& f) {
  auto x = to_doubles(f.rows.x);
  const auto m = to_doubles(f.mask);
  std::vector<std::int32_t> code(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    code[i] = f.rows.code.ptr<std::int32_t>()[i];
    if (m[i] > 0) continue;
    x[i] = 1e3 - x[i];
    code[i] = -1;
  }
  return {make_tensor(x, f.rows.x.shape(), f.rows.x.dtype()), Tensor::from(code, f.rows.x.shape()), {}};
}

}  // namespace

TEST_CASE("set-GRU: conditionals and teacher forcing follow the formulas") {
  for (const Backend level : cpu_levels()) {
    CAPTURE(std::string(to_string(level)));
    Context ctx(level);
    const Fixture f(DType::f64, 301);
    const SetGruReference reference(f.model);
    Conditionals at_once, forced;
    const Tensor target = make_tensor(std::vector<double>(301 * F, 1.0), {301, F}, DType::f64);
    f.model.conditionals(ctx, f.rows.rows(), f.mask, at_once);
    f.model.sequential(ctx, f.rows.rows(), f.mask, target, forced);
    for (std::int64_t b = 0; b < 301; b += b < 10 ? 1 : 11) {
      const auto x = to_doubles(f.rows.x.view().rows(b, 1));
      const std::int32_t* code = f.rows.code.ptr<std::int32_t>() + b * F;
      std::vector<std::int64_t> s, all;
      for (std::int64_t t = 0; t < F; ++t)
        if (f.known(b, t)) s.push_back(t);
      all = s;
      const auto h = reference.state(s, x.data(), code);
      check_close("context", to_doubles(at_once.context.view().rows(b, 1)), {h.data(), 6}, {1e-12, 1e-12});
      check_close("context", to_doubles(forced.context.view().rows(b, 1)), {h.data(), 6}, {1e-12, 1e-12});
      for (std::int64_t t = 0; t < F; ++t) {
        const std::size_t i = static_cast<std::size_t>(t);
        const double first = log_density(f.model, at_once, b, t, x[i], code[t]);
        const double second = log_density(f.model, forced, b, t, x[i], code[t]);
        if (f.known(b, t)) continue;
        CHECK(first == doctest::Approx(reference.log_q(t, s, x.data(), code)).epsilon(1e-10));
        CHECK(second == doctest::Approx(reference.log_q(t, all, x.data(), code)).epsilon(1e-10));
        all.push_back(t);
      }
      for (std::int64_t t = 0; t < F; ++t)  // entries not asked for are 0
        if (f.known(b, t))
          for (const Conditionals* q : {&at_once, &forced})
            CHECK(max_abs(to_doubles(q->mixture.view().reshaped({301 * F, 6}).rows(b * F + t, 1))) == 0);
    }
  }
}

TEST_CASE("set-GRU: features that are neither known nor target take no part") {
  Context ctx;
  const Fixture f(DType::f64, 20);
  Tensor target = set_gru_masks(20, F, DType::f64);
  for (std::int64_t i = 0; i < 20 * F; ++i) target.ptr<double>()[i] = i % 3 == 0 ? 0 : 1;
  Conditionals some, changed;
  f.model.sequential(ctx, f.rows.rows(), f.mask, target, some);
  SetGruRows other = set_gru_rows(f.model.layout(), 20, DType::f64);
  for (std::int64_t i = 0; i < 20 * F; ++i)
    if (target.ptr<double>()[i] == 0 && f.mask.ptr<double>()[i] == 0) {
      other.x.ptr<double>()[i] = 77;
      other.code.ptr<std::int32_t>()[i] = -1;
    }
  f.model.sequential(ctx, other.rows(), f.mask, target, changed);
  check_same_bits("sequential", all_of(changed), all_of(some));
}

TEST_CASE("set-GRU: what depends on x_S only does not see unknown values") {
  for (const Backend level : cpu_levels())
    for (const DType dtype : {DType::f32, DType::f64}) {
      Context ctx(level);
      const Fixture f(dtype, 50);
      const SetGruRows changed = change_unknown(f);
      Conditionals a, b;
      f.model.conditionals(ctx, f.rows.rows(), f.mask, a);
      f.model.conditionals(ctx, changed.rows(), f.mask, b);
      check_same_bits("conditionals", all_of(a), all_of(b));
      const Tensor noise = uniform_noise(50 * 3, F, dtype);
      for (const DrawMode mode : {DrawMode::autoregressive, DrawMode::one_shot}) {
        Draws d, e;
        f.model.draw(ctx, f.rows.rows(), f.mask, 3, noise, mode, d);
        f.model.draw(ctx, changed.rows(), f.mask, 3, noise, mode, e);
        check_same_bits("draws", all_of(d), all_of(e));
      }
    }
}

TEST_CASE("set-GRU: rows do not depend on the rows beside them") {
  for (const Backend level : cpu_levels()) {
    if (level == Backend::cpu_eigen) continue;  // its products round by the number of rows
    Context ctx(level);
    const Fixture f(DType::f32, 60);
    const Tensor noise = uniform_noise(60 * 7, F, DType::f32), target = set_gru_masks(60, F, DType::f32);
    const Tensor ones = make_tensor(std::vector<double>(60 * F, 1.0), {60, F}, DType::f32);
    for (const DrawMode mode : {DrawMode::autoregressive, DrawMode::one_shot}) {
      Draws all, one;
      f.model.draw(ctx, f.rows.rows(), f.mask, 7, noise, mode, all);
      Conditionals q, p, alone;
      f.model.conditionals(ctx, f.rows.rows(), f.mask, q);
      f.model.sequential(ctx, f.rows.rows(), f.mask, ones, p);
      for (const std::int64_t b : {0, 1, 2, 33, 59}) {
        const FeatureRows row{f.rows.x.view().rows(b, 1), f.rows.code.view().rows(b, 1)};
        const ConstTensorView mask = f.mask.view().rows(b, 1);
        f.model.draw(ctx, row, mask, 7, noise.view().rows(b * 7, 7), mode, one);
        check_same_bits("x", to_doubles(one.x), to_doubles(all.x.view().rows(b * 7, 7)));
        check_same_bits("log_q", to_doubles(one.log_q), to_doubles(all.log_q.view().columns(b * 7, 7)));
        for (std::int64_t k = 0; k < 7; ++k) {  // and a draw not on those beside it
          f.model.draw(ctx, row, mask, 1, noise.view().rows(b * 7 + k, 1), mode, one);
          check_same_bits("x", to_doubles(one.x), to_doubles(all.x.view().rows(b * 7 + k, 1)));
        }
        f.model.conditionals(ctx, row, mask, alone);
        check_same_bits("mixture", to_doubles(alone.mixture),
                        to_doubles(q.mixture.view().reshaped({60, F * 6}).rows(b, 1)));
        f.model.sequential(ctx, row, mask, ones.view().rows(b, 1), alone);
        check_same_bits("mixture", to_doubles(alone.mixture),
                        to_doubles(p.mixture.view().reshaped({60, F * 6}).rows(b, 1)));
      }
    }
  }
}

TEST_CASE("set-GRU: log q of a draw is that of teacher forcing") {
  for (const Backend level : cpu_levels())
    for (const std::int64_t K : {1, 5, 60, 300}) {
      CAPTURE(K);
      Context ctx(level);
      const std::int64_t B = 11;
      const Fixture f(DType::f64, B);
      Draws d;
      f.model.draw(ctx, f.rows.rows(), f.mask, K, uniform_noise(B * K, F, DType::f64),
                   DrawMode::autoregressive, d);
      Tensor mask({B * K, F}, DType::f64), ones({B * K, F}, DType::f64);
      for (std::int64_t i = 0; i < B * K * F; ++i) {
        mask.ptr<double>()[i] = f.mask.ptr<double>()[i / F / K * F + i % F];
        ones.ptr<double>()[i] = 1;
        if (mask.ptr<double>()[i] > 0)
          CHECK(d.x.ptr<double>()[i] == f.rows.x.ptr<double>()[i / F / K * F + i % F]);
      }
      Conditionals q;
      f.model.sequential(ctx, {d.x, d.code}, mask, ones, q);
      const SetGruReference reference(f.model);
      for (std::int64_t r = 0; r < B * K; r += K < 300 ? 7 : 97) {
        double want = 0;
        for (std::int64_t t = 0; t < F; ++t) {
          const double x = d.x.ptr<double>()[r * F + t];
          const std::int32_t code = d.code.ptr<std::int32_t>()[r * F + t];
          if (mask.ptr<double>()[r * F + t] == 0) want += log_density(f.model, q, r, t, x, code);
        }
        CHECK(d.log_q.ptr<double>()[r] == doctest::Approx(want).epsilon(1e-9));
      }
    }
}

TEST_CASE("set-GRU: draws have the distribution that conditionals state") {
  Context ctx;
  const std::int64_t K = 4000;
  for (const DrawMode mode : {DrawMode::autoregressive, DrawMode::one_shot}) {
    const Fixture f(DType::f64, 3);
    Tensor mask({3, F}, DType::f64);
    for (std::int64_t i = 0; i < 3 * F; ++i) mask.ptr<double>()[i] = i % F < 4 ? 1 : 0;  // 4 and 5 are open
    Tensor noise({K, F}, DType::f64);  // an even grid; both features use it in unrelated orders
    for (std::int64_t k = 0; k < K; ++k)
      for (std::int64_t j = 0; j < F; ++j) {
        const std::int64_t factors[4] = {1, 1237, 1741, 2719};
        noise.ptr<double>()[k * F + j] = (static_cast<double>(k * factors[j % 4] % K) + .5) / K;
      }
    Draws d;
    Conditionals q;
    f.model.draw(ctx, f.rows.rows(), mask, K, noise, mode, d);
    f.model.conditionals(ctx, f.rows.rows(), mask, q);
    for (std::int64_t b = 0; b < 3; ++b) {
      // The first unknown feature is drawn from q(. | x_S) in both modes, the second in one of them.
      std::vector<double> count(2, 0.0);
      double mean = 0, square = 0;
      for (std::int64_t k = 0; k < K; ++k) {
        ++count[static_cast<std::size_t>(d.code.ptr<std::int32_t>()[(b * K + k) * F + 4])];
        const double x = d.x.ptr<double>()[(b * K + k) * F + 5];
        mean += x / K;
        square += x * x / K;
        const std::int32_t code = d.code.ptr<std::int32_t>()[(b * K + k) * F + 4];
        CHECK(d.x.ptr<double>()[(b * K + k) * F + 4] ==
              f.model.layout().values[static_cast<std::size_t>(3 + code)]);
      }
      for (const std::int32_t c : {0, 1})
        CHECK(count[static_cast<std::size_t>(c)] / K ==
              doctest::Approx(std::exp(log_density(f.model, q, b, 4, 0, c))).epsilon(2.0 / K));
      if (mode == DrawMode::autoregressive) continue;
      Tensor m({1}, DType::f64), v({1}, DType::f64);
      ops::mixture_moments(ctx, q.mixture.view().reshaped({3 * F, 6}).rows(b * F + 5, 1), m, v);
      const double sd = std::sqrt(v.ptr<double>()[0]);
      CHECK(mean == doctest::Approx(m.ptr<double>()[0]).epsilon(.02 * sd));
      CHECK(square - mean * mean == doctest::Approx(sd * sd).epsilon(.05));
    }
  }
}

TEST_CASE("set-GRU: f32 agrees with f64, and empty calls are fine") {
  Context ctx;
  Fixture a(DType::f32, 40), b(DType::f64, 40);
  Conditionals p, q;
  a.model.conditionals(ctx, a.rows.rows(), a.mask, p);
  b.model.conditionals(ctx, b.rows.rows(), b.mask, q);
  check_close("conditionals", all_of(p), all_of(q), {2e-4, 1e-4});
  const Fixture none(DType::f32, 0);
  none.model.conditionals(ctx, none.rows.rows(), none.mask, p);
  CHECK(p.context.rows() == 0);
  none.model.sequential(ctx, none.rows.rows(), none.mask, none.mask, p);
  Draws d;
  none.model.draw(ctx, none.rows.rows(), none.mask, 3, uniform_noise(3, F, DType::f32),
                  DrawMode::autoregressive, d);
  CHECK(d.x.rows() == 0);
  CHECK_THROWS_AS(
      a.model.draw(ctx, a.rows.rows(), a.mask, 2, uniform_noise(3, F, DType::f32), DrawMode::one_shot, d),
      ShapeError);
  CHECK_THROWS_AS(a.model.conditionals(ctx, a.rows.rows(), none.mask, p), ShapeError);
}

TEST_CASE("the set-GRU is a proposal") {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const std::int64_t features : {1, 2, 6, 9}) {
      CAPTURE(features);
      Context ctx;
      SetGru model({.layout = mixed_layout(features), .base = correlated_base(features), .hidden = 20},
                   dtype);
      check_proposal(model, ctx, true);
      if (features == 6) check_proposal(model, ctx, true, 33);  // rows with many draws go alone
    }
}

TEST_CASE("set-GRU: draws do not depend on whether log q is wanted, nor on how many there are beside them") {
  Context ctx;
  for (const DType dtype : {DType::f32, DType::f64}) {
    const SetGru model({.layout = mixed_layout(7), .base = correlated_base(7), .hidden = 20}, dtype);
    const ContractRows data = contract_rows(model.layout(), 11, dtype);
    const Tensor noise = contract_noise(300, 7, dtype);  // more draws than go together
    Draws with, without, few;
    model.draw(ctx, data.rows(), data.mask, 300, noise, DrawMode::autoregressive, with);
    without.log_q_wanted = false;
    model.draw(ctx, data.rows(), data.mask, 300, noise, DrawMode::autoregressive, without);
    CHECK(without.log_q.elements() == 0);
    CHECK(with.log_q.elements() == 11 * 300);
    check_same_bits("x", to_doubles(without.x), to_doubles(with.x));
    model.draw(ctx, data.rows(), data.mask, 40, noise.view().rows(0, 40), DrawMode::autoregressive, few);
    const std::vector<double> some = to_doubles(few.x), all = to_doubles(with.x);
    for (std::int64_t b = 0; b < 11; ++b)
      check_same_bits("x", std::span(some).subspan(static_cast<std::size_t>(b * 40 * 7), 40 * 7),
                      std::span(all).subspan(static_cast<std::size_t>(b * 300 * 7), 40 * 7));
  }
}

TEST_CASE("set-GRU: one feature") {
  Context ctx;
  for (const std::vector<std::int64_t>& categories : {std::vector<std::int64_t>{0}, {3}}) {
    SetGru model(set_gru_options(categories), DType::f64);
    const SetGruRows rows = set_gru_rows(model.layout(), 4, DType::f64);
    const Tensor mask = make_tensor(std::vector<double>{0, 1, 0, 1}, {4, 1}, DType::f64);
    Draws d;
    model.draw(ctx, rows.rows(), mask, 50, uniform_noise(50, 1, DType::f64), DrawMode::autoregressive, d);
    CHECK(max_abs(to_doubles(d.log_q.view().columns(50, 50))) == 0);
    CHECK(max_abs(to_doubles(d.log_q.view().columns(0, 50))) > 0);
  }
}
