#include <doctest/doctest.h>

#include "emshap/core/error.h"
#include "emshap/layers/parameter_store.h"
#include "emshap/ops/elementwise.h"
#include "support/compare.h"
#include "support/devices.h"

using namespace emshap;
using namespace emshap::test;

namespace {

struct Model {
  ParameterStore store;
  ParameterId weight, bias, other;
  BufferId mean;
  explicit Model(DType dtype = DType::f32, Device device = {}) {
    weight = store.add("a.weight", {3, 5}, Decay::yes);
    bias = store.add("a.bias", {5}, Decay::no);
    other = store.add("b.weight", {16, 2}, Decay::yes);
    mean = store.add_buffer("a.mean", {5}, 2.5);
    store.allocate(dtype, device);
  }
};

}  // namespace

TEST_CASE("parameters lie at aligned offsets in order, gaps are zero") {
  Model m;
  const auto& p = m.store.parameters();
  CHECK(p[0].offset == 0);
  CHECK(p[1].offset == 16);
  CHECK(p[2].offset == 32);
  CHECK(m.store.flat_size() == 64);
  CHECK(m.store.parameter_count() == 15 + 5 + 32);
  CHECK(m.store.find("a.bias").index == 1);
  CHECK(m.store.value(m.weight).shape() == Shape{3, 5});
  CHECK(m.store.value(m.bias).shape() == Shape{5});
  std::vector<double> mask(64, 0.0);
  for (std::size_t i = 0; i < 15; ++i) mask[i] = 1;
  for (std::size_t i = 32; i < 64; ++i) mask[i] = 1;
  CHECK(to_doubles(m.store.decay_mask()) == mask);
  CHECK(to_doubles(m.store.flat_values()) == std::vector<double>(64, 0.0));
  CHECK(m.store.get(m.mean) == std::vector<double>(5, 2.5));
}

TEST_CASE("values go in and out in double, rounded to the store's type") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    Model m(dtype);
    const std::vector<double> values{.1, .2, .3, .4, .5};
    m.store.set(m.bias, values);
    std::vector<double> expected = values;
    if (dtype == DType::f32)
      for (double& v : expected) v = static_cast<double>(static_cast<float>(v));
    CHECK(m.store.get(m.bias) == expected);
    CHECK(to_doubles(m.store.value(m.bias)) == expected);
    CHECK(to_doubles(m.store.flat_values())[16] == expected[0]);
    Model other(DType::f64);
    other.store.copy_from(m.store);
    CHECK(other.store.get(other.bias) == expected);
    CHECK(other.store.get(other.mean) == std::vector<double>(5, 2.5));
  }
  ParameterStore bare, filled;
  for (ParameterStore* store : {&bare, &filled}) store->add("w", {2}, Decay::yes);
  filled.allocate(DType::f32);
  CHECK_THROWS_AS(bare.copy_from(filled), ConfigError);
  CHECK_THROWS_AS(filled.copy_from(bare), ConfigError);
}

TEST_CASE("gradients are cleared by any team") {
  for (const Backend backend : cpu_levels())
    for (const int threads : {1, 2, 3, 7}) {
      Model m;
      Context ctx(backend);
      ops::fill(ctx, 7, m.store.flat_gradients());
      const auto pool = make_pool(threads, backend);
      pool->run(500, [&](Context& member, const ShardPlan&) { m.store.clear_gradients(member); });
      CHECK(to_doubles(m.store.flat_gradients()) == std::vector<double>(64, 0.0));
    }
}

TEST_CASE("frozen parameters leave gaps in the trainable ranges") {
  Model m;
  const auto ranges = [&] {
    std::vector<std::pair<std::int64_t, std::int64_t>> r;
    for (const auto& t : m.store.trainable_ranges()) r.emplace_back(t.begin, t.count);
    return r;
  };
  using Ranges = std::vector<std::pair<std::int64_t, std::int64_t>>;
  CHECK(ranges() == Ranges{{0, 64}});
  m.store.set_frozen(m.bias, true);
  CHECK(ranges() == Ranges{{0, 16}, {32, 32}});
  CHECK(m.store.set_frozen("a.", true) == 2);
  CHECK(ranges() == Ranges{{32, 32}});
  Context ctx;
  ops::fill(ctx, 7, m.store.flat_gradients());
  m.store.clear_frozen_gradients(ctx);
  CHECK(to_doubles(m.store.gradient(m.weight)) == std::vector<double>(15, 0.0));
  CHECK(to_doubles(m.store.gradient(m.other)) == std::vector<double>(32, 7.0));
  m.store.set_frozen("", false);
  CHECK(ranges() == Ranges{{0, 64}});
  CHECK_THROWS_AS(m.store.set_frozen("c.", true), ConfigError);
}

TEST_CASE("averaged weights and snapshots") {
  Model m;
  const std::vector<double> first{1, 2, 3, 4, 5}, second{6, 7, 8, 9, 10};
  m.store.set(m.bias, first);
  CHECK(m.store.flat_ema().elements() == 0);
  CHECK_THROWS_AS(m.store.swap_ema(), ConfigError);
  m.store.enable_ema();
  m.store.set(m.bias, second);
  m.store.swap_ema();
  CHECK(m.store.get(m.bias) == first);
  m.store.swap_ema();
  CHECK(m.store.get(m.bias) == second);

  ParameterStore::Snapshot best;
  m.store.snapshot(best);
  m.store.set(m.bias, first);
  m.store.set(m.mean, first);
  m.store.restore(best);
  CHECK(m.store.get(m.bias) == second);
  CHECK(m.store.get(m.mean) == std::vector<double>(5, 2.5));
  Model wide(DType::f64);
  CHECK_THROWS_AS(wide.store.restore(best), ShapeError);

  std::vector<std::string> names;
  for (const auto& s : m.store.state()) names.emplace_back(s.name);
  CHECK(names == std::vector<std::string>{"values", "moment1", "moment2", "buffers", "ema"});
}

TEST_CASE("misuse is named") {
  ParameterStore store;
  store.add("a", {2}, Decay::no);
  CHECK_THROWS_WITH_AS(store.add("a", {2}, Decay::no), "parameter name 'a' is used twice", ConfigError);
  CHECK_THROWS_AS(store.add("a b", {2}, Decay::no), ConfigError);
  CHECK_THROWS_AS(store.add("", {2}, Decay::no), ConfigError);
  CHECK_THROWS_AS(store.get(ParameterId{0}), ConfigError);
  CHECK_THROWS_AS(store.allocate(DType::i32), DTypeError);
  store.allocate(DType::f32);
  CHECK_THROWS_AS(store.allocate(DType::f32), ConfigError);
  CHECK_THROWS_AS(store.add("b", {2}, Decay::no), ConfigError);
  CHECK_THROWS_WITH_AS(store.find("b"), "the model has no parameter named 'b', it has a", ConfigError);
  CHECK_THROWS_AS(store.set(ParameterId{0}, std::vector<double>(3)), ShapeError);
  Model other;
  CHECK_THROWS_AS(store.copy_from(other.store), ShapeError);
}
