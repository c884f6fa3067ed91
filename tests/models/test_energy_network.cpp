#include "emshap/models/energy_network.h"

#include <doctest/doctest.h>

#include <cmath>

#include "emshap/core/error.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/gradient_check.h"
#include "support/layer_harness.h"

using namespace emshap;
using namespace emshap::test;

namespace {

struct Data {
  std::int64_t B, R, F, H;
  Tensor x, mask, context, dy;
  Data(std::int64_t rows, std::int64_t completions, DType dtype, std::int64_t features = 3,
       std::int64_t width = 5)
      : B(rows),
        R(completions),
        F(features),
        H(width),
        x(make_tensor(random_values(B * R * F, 1), {B * R, F}, dtype)),
        mask(make_tensor(random_values(B * F, 2), {B, F}, dtype)),
        context(make_tensor(random_values(B * H, 3), {B, H}, dtype)),
        dy(make_tensor(random_values(B * R, 4), {B * R}, dtype)) {
    const auto binary = [&](auto* m) {
      for (std::int64_t i = 0; i < B * F; ++i) m[i] = m[i] > 0 ? 1 : 0;
    };
    if (dtype == DType::f32)
      binary(mask.ptr<float>());
    else
      binary(mask.ptr<double>());
  }
};

EnergyNetworkOptions small(EnergyForm form = EnergyForm::residual, Activation activation = Activation::tanh) {
  return {.features = 3, .context = 5, .form = form, .bound = 2, .hidden = 7, .activation = activation};
}

struct Result {
  std::vector<double> energy, inferred, gradients;
};

Result run(TeamPool& pool, EnergyNetwork& net, const Data& d) {
  Tensor energy({d.B, d.R}, d.x.dtype()), inferred({d.B, d.R}, d.x.dtype());
  std::vector<EnergyNetwork::Cache> caches(static_cast<std::size_t>(pool.threads()));
  pool.run(d.B, [&](Context& ctx, const ShardPlan& plan) {
    const std::int64_t b = plan.row_begin, n = plan.local_rows;
    auto& cache = caches[static_cast<std::size_t>(ctx.team().rank())];
    net.store().clear_gradients(ctx);
    net.forward(ctx, d.x.view().rows(b * d.R, n * d.R), d.mask.view().rows(b, n), d.context.view().rows(b, n),
                energy.view().rows(b, n), cache);
    net.backward(ctx, cache, d.dy.view().reshaped({d.B, d.R}).rows(b, n));
    net.infer(ctx, d.x.view().rows(b * d.R, n * d.R), d.mask.view().rows(b, n), d.context.view().rows(b, n),
              inferred.view().rows(b, n));
  });
  return {to_doubles(energy.view()), to_doubles(inferred.view()), to_doubles(net.store().flat_gradients())};
}

EnergyNetwork& randomised(EnergyNetwork& net) {
  randomise(net.store(), 5);
  return net;
}

}  // namespace

TEST_CASE("the energy network is a skip MLP on the joined inputs") {
  for (const Backend backend : cpu_levels())
    for (const Activation activation : {Activation::relu, Activation::gelu})
      for (const std::int64_t R : {1, 3, 4, 17, 300}) {
        CAPTURE(R);
        const Data d(9, R, DType::f64);
        EnergyNetwork net(small(EnergyForm::absolute, activation), DType::f64);
        randomised(net);
        ParameterStore store;
        SkipMlp mlp(store, "mlp", {.inputs = 11, .hidden = 7, .activation = activation});
        store.allocate(DType::f64);
        std::vector<double> first = net.store().get(net.store().find("energy.completion.weight"));
        const auto rest = net.store().get(net.store().find("energy.condition.weight"));
        first.insert(first.end(), rest.begin(), rest.end());
        store.set(store.find("mlp.input.linear.weight"), first);
        const auto copy = [&](const std::string& from, const std::string& to) {
          store.set(store.find(to), net.store().get(net.store().find(from)));
        };
        copy("energy.condition.bias", "mlp.input.linear.bias");
        for (const char* layer : {"block0.0", "block0.1", "block1.0", "block1.1"})
          for (const char* part : {".linear.weight", ".linear.bias"})
            copy(std::string("energy.") + layer + part, std::string("mlp.") + layer + part);
        copy("energy.output.weight", "mlp.output.weight");
        copy("energy.output.bias", "mlp.output.bias");

        Tensor joined({9 * R, 11}, DType::f64), want({9 * R, 1}, DType::f64);
        for (std::int64_t r = 0; r < 9 * R; ++r) {
          double* to = joined.ptr<double>() + r * 11;
          for (int i = 0; i < 3; ++i) to[i] = d.x.ptr<double>()[r * 3 + i];
          for (int i = 0; i < 3; ++i) to[3 + i] = d.mask.ptr<double>()[r / R * 3 + i];
          for (int i = 0; i < 5; ++i) to[6 + i] = d.context.ptr<double>()[r / R * 5 + i];
        }
        Context ctx(backend);
        mlp.infer(ctx, joined, want);
        TeamPool pool(1, backend);
        const Result got = run(pool, net, d);
        check_close("energy", got.energy, to_doubles(want.view()), {1e-12, 1e-12});
        check_close("infer", got.inferred, got.energy, {1e-14, 1e-14});
      }
}

TEST_CASE("parameter gradients equal central differences, in both forms") {
  for (const EnergyForm form : {EnergyForm::residual, EnergyForm::absolute})
    for (const Activation activation : {Activation::tanh, Activation::silu})
      for (const std::int64_t R : {1, 5}) {
        const Data d(4, R, DType::f64);
        EnergyNetwork net(small(form, activation), DType::f64);
        randomised(net);
        TeamPool pool(1, cpu_levels().back());
        const std::vector<double> gradients = run(pool, net, d).gradients;
        const TensorView values = net.store().flat_values();
        check_gradient("energy network",
                       std::span(values.ptr<double>(), static_cast<std::size_t>(values.elements())),
                       gradients, [&] {
                         const std::vector<double> e = run(pool, net, d).energy, w = to_doubles(d.dy.view());
                         double sum = 0;
                         for (std::size_t i = 0; i < e.size(); ++i) sum += e[i] * w[i];
                         return sum;
                       });
      }
}

TEST_CASE("float agrees with double at all sizes; teams of any size give the same bits") {
  for (const Backend backend : cpu_levels())
    for (const std::int64_t B : {0, 1, 31, 32, 33, 65, 200})
      for (const std::int64_t R : {1, 17}) {
        CAPTURE(B);
        CAPTURE(R);
        EnergyNetwork exact(small(), DType::f64), net(small(), DType::f32);
        randomised(exact);
        randomised(net);
        TeamPool one(1, backend);
        const Result want = run(one, exact, Data(B, R, DType::f64));
        const Data d(B, R, DType::f32);
        const Result got = run(one, net, d);
        check_close("energy", got.energy, want.energy, {1e-5, 1e-5});
        check_close("inferred", got.inferred, want.energy, {1e-5, 1e-5});
        check_close("gradients", got.gradients, want.gradients, {1e-5 * (1 + max_abs(want.gradients)), 1e-5});
        for (const int threads : {2, 3, 7}) {
          TeamPool pool(threads, backend);
          const Result team = run(pool, net, d);
          check_same_bits("energy", team.energy, got.energy);
          // Eigen's products depend on how rows are cut into tiles.
          if (backend != Backend::cpu_eigen) check_same_bits("inferred", team.inferred, got.inferred);
          check_same_bits("gradients", team.gradients, got.gradients);
        }
      }
}

TEST_CASE("a fresh residual energy is near 0 and never beyond its bound; options out of range are refused") {
  const Data d(20, 8, DType::f32);
  EnergyNetworkOptions o = small(EnergyForm::residual, Activation::relu);
  o.bound = 8;
  o.hidden = 128;
  EnergyNetwork net(o);
  TeamPool pool(1);
  CHECK(max_abs(run(pool, net, d).energy) < .5);
  randomised(net);
  for (auto& e : net.store().parameters())
    if (e.name == "energy.output.bias") net.store().set(net.store().find(e.name), std::vector<double>{1e6});
  const Result far = run(pool, net, d);
  CHECK(max_abs(far.energy) == 8);
  CHECK(std::isfinite(max_abs(far.gradients)));

  CHECK(parse_energy_form("absolute") == EnergyForm::absolute);
  CHECK_THROWS_AS(parse_energy_form("relative"), ConfigError);
  o.features = 0;
  CHECK_THROWS_AS(EnergyNetwork{o}, ConfigError);
  o = small();
  o.bound = 0;
  CHECK_THROWS_AS(EnergyNetwork{o}, ConfigError);
  Context ctx;
  Tensor energy({160});
  EnergyNetwork fine(small());
  CHECK_THROWS_AS(fine.infer(ctx, d.x, d.mask.view().rows(0, 19), d.context, energy), ShapeError);
  CHECK_THROWS_AS(fine.infer(ctx, d.x.view().rows(0, 159), d.mask, d.context, energy), ShapeError);
}
