// The density model with both proposal networks and an energy network: the same density from sequential
// evaluation, draws and quadrature, and nothing but the known values in what depends on them.
#include <doctest/doctest.h>

#include <cmath>

#include "emshap/models/emshap_model.h"
#include "emshap/models/proposal_factory.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/layer_harness.h"

using namespace emshap;
using namespace emshap::test;

namespace {

constexpr std::int64_t F = 4;

FeatureLayout layout() {
  FeatureLayout l = FeatureLayout::numeric(F);
  l.categories = {0, 3, 0, 0};
  l.values = {-1, .2, 1.5};
  l.frequencies = {.5, .3, .2};
  return l;
}

EmshapModel model(ProposalKind kind, DType dtype, double scale) {
  auto proposal =
      make_proposal({.kind = kind,
                     .layout = layout(),
                     .base = {{.1, 0, -.2, 0}, {1, .3, .2, 0, .3, 1.2, 0, .4, .2, 0, .9, .1, 0, .4, .1, 1.1}},
                     .hidden = 16,
                     .embedding = 8,
                     .components = 3},
                    dtype);
  auto energy = std::make_unique<EnergyNetwork>(
      EnergyNetworkOptions{.features = F, .context = proposal->context_width(), .hidden = 16}, dtype);
  // Away from the start, where the proposal is nearly the base and the energy nearly 0.
  std::uint64_t seed = 1;
  for (ParameterStore* store : {&proposal->store(), &energy->store()}) {
    const TensorView all = store->flat_values();
    const std::vector<double> noise = random_values(all.elements(), seed++, scale);
    for (const auto& p : store->parameters()) {
      const ParameterId id = store->find(p.name);
      std::vector<double> values = store->get(id);
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] += noise[static_cast<std::size_t>(p.offset) + i];
      store->set(id, values);
    }
  }
  return {std::move(proposal), std::move(energy), true};
}

struct Rows {
  Tensor x, mask, code;
  std::vector<std::int64_t> numbers;
  Rows(std::int64_t B, DType dtype)
      : x(make_tensor(random_values(B * F, 4), {B, F}, dtype)),
        mask(Tensor::zeros({B, F}, dtype)),
        code({B, F}, DType::i32) {
    for (std::int64_t b = 0; b < B; ++b) {
      numbers.push_back(b);
      for (std::int64_t t = 0; t < F; ++t) {
        put(mask, b, t, static_cast<double>(b >> t & 1));
        set_code(b, t, t == 1 ? static_cast<std::int32_t>(b % 3) : -1);
      }
    }
  }
  static void put(Tensor& to, std::int64_t b, std::int64_t t, double v) {
    if (to.dtype() == DType::f32)
      to.ptr<float>()[b * F + t] = static_cast<float>(v);
    else
      to.ptr<double>()[b * F + t] = v;
  }
  void set_code(std::int64_t b, std::int64_t t, std::int32_t v) {
    code.ptr<std::int32_t>()[b * F + t] = v;
    if (v >= 0) put(x, b, t, layout().values[static_cast<std::size_t>(v)]);
  }
  ModelQuery query() const {
    return {.rows = {.x = x, .code = code}, .mask = mask, .target = {}, .numbers = numbers};
  }
};

SamplingOptions sampling(std::int64_t draws) {
  return {.draws = draws, .key = {.seed = 3, .purpose = RandomPurpose::test}};
}

}  // namespace

TEST_CASE("all functions of a proposal give the same context, and the energy reads it") {
  Context ctx;
  for (const ProposalKind kind : {ProposalKind::gru, ProposalKind::mlp}) {
    const EmshapModel m = model(kind, DType::f64, .3);
    const Rows r(33, DType::f64);
    const Tensor target = make_tensor(std::vector<double>(33 * F, 1.), {33, F}, DType::f64);
    Conditionals at_once, forced;
    m.proposal().conditionals(ctx, r.query().rows, r.mask, at_once);
    m.proposal().sequential(ctx, r.query().rows, r.mask, target, forced);
    WeightedDraws drawn;
    m.draw(ctx, r.query(), sampling(3), drawn);
    check_close("sequential", forced.context, at_once.context, {1e-12, 1e-12});
    check_close("draws", drawn.draws.context, at_once.context, {1e-12, 1e-12});
    const DensityScores s = m.log_density(ctx, r.query(), sampling(3), true);
    check_close("energy", s.energy, m.energies(ctx, r.query()), {1e-12, 1e-12});
    CHECK(max_abs(s.energy) > .1);
  }
}

TEST_CASE("nothing that depends on the known values changes with the unknown ones") {
  for (const Backend backend : cpu_levels())
    for (const ProposalKind kind : {ProposalKind::gru, ProposalKind::mlp}) {
      Context ctx(backend);
      const EmshapModel m = model(kind, DType::f32, .3);
      const Rows r(48, DType::f32);
      Rows other(48, DType::f32);
      for (std::int64_t b = 0; b < 48; ++b)
        for (std::int64_t t = 0; t < F; ++t)
          if (r.mask.ptr<float>()[b * F + t] == 0) {
            other.set_code(b, t, t == 1 ? static_cast<std::int32_t>((b + 1) % 3) : -1);
            Rows::put(other.x, b, t, t % 2 == 0 ? 1e30 : -4);
          }
      const SamplingOptions o = sampling(17);
      WeightedDraws a, b;
      m.draw(ctx, r.query(), o, a);
      m.draw(ctx, other.query(), o, b);
      check_same_bits("draws", to_doubles(a.draws.x.view()), to_doubles(b.draws.x.view()));
      check_same_bits("log q", to_doubles(a.draws.log_q.view()), to_doubles(b.draws.log_q.view()));
      check_same_bits("weights", to_doubles(a.weights.view()), to_doubles(b.weights.view()));
      check_same_bits("summary", to_doubles(a.summary.view()), to_doubles(b.summary.view()));
      ConditionalMoments ma, mb;
      m.moments(ctx, r.query(), o, ma);
      m.moments(ctx, other.query(), o, mb);
      check_same_bits("mean", to_doubles(ma.mean.view()), to_doubles(mb.mean.view()));
      m.proposal_moments(ctx, r.query(), ma);
      m.proposal_moments(ctx, other.query(), mb);
      check_same_bits("proposal sd", to_doubles(ma.sd.view()), to_doubles(mb.sd.view()));
    }
}

TEST_CASE("the density sums to 1 over a grid, and draws have its mean") {
  Context ctx;
  for (const ProposalKind kind : {ProposalKind::gru, ProposalKind::mlp}) {
    const EmshapModel m = model(kind, DType::f64, .15);
    // Features 0 and 1 unknown, 2 and 3 known.
    const std::int64_t steps = 120, B = 3 * steps;
    const double from = -6, h = .1;
    Rows grid(B, DType::f64);
    for (std::int64_t b = 0; b < B; ++b) {
      grid.set_code(b, 1, static_cast<std::int32_t>(b / steps));
      Rows::put(grid.x, b, 0, from + (static_cast<double>(b % steps) + .5) * h);
      Rows::put(grid.x, b, 2, .7);
      Rows::put(grid.x, b, 3, -.4);
      for (std::int64_t t = 0; t < F; ++t) Rows::put(grid.mask, b, t, t < 2 ? 0 : 1);
      grid.numbers[static_cast<std::size_t>(b)] = 0;
    }
    const DensityScores s = m.log_density(ctx, grid.query(), sampling(256), true);
    double q = 0, p = 0, mean = 0;
    for (std::int64_t b = 0; b < B; ++b) {
      const auto i = static_cast<std::size_t>(b);
      q += std::exp(s.log_q[i]) * h;
      p += std::exp(s.log_density[i]) * h;
      mean += std::exp(s.log_density[i]) * h * grid.x.ptr<double>()[b * F];
      CHECK(s.log_z[i] == s.log_z[0]);
    }
    CHECK(std::abs(q - 1) < 1e-3);
    CHECK(std::abs(p - 1) < .03);
    CHECK(s.effective[0] < 255);
    ModelQuery one = grid.query();
    one.rows.x = grid.x.view().rows(0, 1);
    one.rows.code = grid.code.view().rows(0, 1);
    one.mask = grid.mask.view().rows(0, 1);
    one.numbers = one.numbers.first(1);
    ConditionalMoments moments;
    m.moments(ctx, one, sampling(4096), moments);
    CHECK(std::abs(moments.mean.ptr<double>()[0] - mean / p) < .03);
    CHECK(moments.mean.ptr<double>()[2] == .7);
  }
}

TEST_CASE("with a missing feature the density of the others sums to 1 too") {
  Context ctx;
  for (const ProposalKind kind : {ProposalKind::gru, ProposalKind::mlp})
    for (const DrawMode mode : {DrawMode::autoregressive, DrawMode::one_shot}) {
      const EmshapModel m = model(kind, DType::f64, kind == ProposalKind::gru ? .3 : .15);
      // Feature 0 missing, 1 and 3 asked for, 2 known.
      const std::int64_t steps = 240, B = 3 * steps;
      const double from = -12, h = .1;
      Rows grid(B, DType::f64);
      Tensor target = Tensor::zeros({B, F}, DType::f64);
      for (std::int64_t b = 0; b < B; ++b) {
        grid.set_code(b, 1, static_cast<std::int32_t>(b / steps));
        Rows::put(grid.x, b, 2, .7);
        Rows::put(grid.x, b, 3, from + (static_cast<double>(b % steps) + .5) * h);
        for (std::int64_t t = 0; t < F; ++t) {
          Rows::put(grid.mask, b, t, t == 2 ? 1 : 0);
          Rows::put(target, b, t, t == 1 || t == 3 ? 1 : 0);
        }
        grid.numbers[static_cast<std::size_t>(b)] = 0;
      }
      ModelQuery query = grid.query();
      query.target = target;
      SamplingOptions o = sampling(2048);
      o.mode = mode;
      const DensityScores s = m.log_density(ctx, query, o, true);
      double q = 0, p = 0;
      for (std::size_t i = 0; i < s.log_q.size(); ++i) {
        q += std::exp(s.log_q[i]) * h;
        p += std::exp(s.log_density[i]) * h;
      }
      INFO(to_string(kind) << ' ' << static_cast<int>(mode) << " q " << q << " p " << p);
      CHECK(std::abs(q - 1) < 1e-3);
      CHECK(std::abs(p - 1) < .01);
    }
}

TEST_CASE("teams give the same bits as one thread, with networks") {
  const Backend backend =
      cpu_levels().back() == Backend::cpu_eigen ? cpu_levels().front() : cpu_levels().back();
  for (const ProposalKind kind : {ProposalKind::gru, ProposalKind::mlp}) {
    const EmshapModel m = model(kind, DType::f32, .3);
    const Rows r(70, DType::f32);
    Context ctx(backend);
    const DensityScores want = m.log_density(ctx, r.query(), sampling(100), true);
    for (const int threads : {2, 3}) {
      TeamPool pool(threads, backend);
      const DensityScores got = m.log_density(pool, r.query(), sampling(100), true);
      check_same_bits("log density", got.log_density, want.log_density);
      check_same_bits("log z", got.log_z, want.log_z);
    }
  }
}
