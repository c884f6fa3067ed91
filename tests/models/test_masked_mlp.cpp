#include "emshap/models/masked_mlp.h"

#include "emshap/models/gaussian_proposal.h"
#include "emshap/ops/optimizer.h"
#include "trainable_contract.h"

using namespace emshap;
using namespace emshap::test;

namespace {

std::unique_ptr<MaskedMlp> make(std::int64_t F, DType dtype, std::int64_t hidden = 6,
                                std::int64_t components = 2) {
  MaskedMlpOptions o;
  o.layout = mixed_layout(F);
  o.base = correlated_base(F);
  o.hidden = hidden;
  o.components = components;
  return std::make_unique<MaskedMlp>(o, dtype);
}

}  // namespace

TEST_CASE("the masked MLP is a proposal") {
  for (const Backend level : cpu_levels())
    for (const DType dtype : {DType::f32, DType::f64})
      for (const std::int64_t F : {1, 2, 6}) {
        CAPTURE(F);
        Context ctx(level);
        const auto p = make(F, dtype);
        randomise_parameters(p->store());
        check_proposal(*p, ctx);
      }
}

TEST_CASE("the masked MLP is trainable") {
  for (const std::int64_t F : {1, 5}) {
    CAPTURE(F);
    check_trainable([&](DType dtype) { return make(F, dtype); });
  }
}

TEST_CASE("many draws of a row are the same as a few at a time") {
  const auto p = make(5, DType::f32, 16, 3);
  const ContractRows data = contract_rows(p->layout(), 3, DType::f32);
  const FeatureRows row{data.x.view().rows(2, 1), data.code.view().rows(2, 1)};
  const Tensor noise = contract_noise(600, 5, DType::f32);
  Context ctx;
  Draws all, part;
  p->draw(ctx, row, data.mask.view().rows(2, 1), 600, noise, DrawMode::autoregressive, all);
  for (const std::int64_t begin : {0, 200, 400}) {
    p->draw(ctx, row, data.mask.view().rows(2, 1), 200, noise.view().rows(begin, 200),
            DrawMode::autoregressive, part);
    const double limit = ctx.backend() == Backend::cpu_eigen ? 1e-5 : 0;
    check_close("x", part.x, all.x.view().rows(begin, 200), {limit, limit});
    check_close("log q", part.log_q.view().reshaped({200, 1}),
                all.log_q.view().reshaped({600, 1}).rows(begin, 200), {limit, limit});
  }
}

TEST_CASE("it starts near the base, categories at their frequencies") {
  const auto p = make(6, DType::f64, 64, 5);
  const GaussianProposal base(p->layout(), p->options().base, DType::f64);
  const ContractRows data = contract_rows(p->layout(), 50, DType::f64);
  Context ctx;
  Conditionals q, b;
  p->conditionals(ctx, data.rows(), data.mask, q);
  base.conditionals(ctx, data.rows(), data.mask, b);
  const std::vector<double> mine = to_doubles(q.mixture), gauss = to_doubles(b.mixture),
                            mask = to_doubles(data.mask);
  for (std::size_t i = 0; i < 300; ++i) {
    if (mask[i] == 1 || p->layout().categorical(static_cast<std::int64_t>(i % 6))) continue;
    double mean = 0;
    for (std::size_t c = 0; c < 5; ++c) {
      mean += std::exp(mine[i * 15 + c]) * mine[i * 15 + 5 + c];
      CHECK(std::abs(mine[i * 15 + 10 + c] - gauss[i * 3 + 2]) < .2);
    }
    CHECK(std::abs(mean - gauss[i * 3 + 1]) < .2 * std::exp(gauss[i * 3 + 2]));
  }
  const std::vector<double> category = to_doubles(q.categorical);
  for (std::size_t v = 0; v < 5; ++v)
    CHECK(std::exp(category[v]) == doctest::Approx(p->layout().frequencies[v]).epsilon(.2));
}

TEST_CASE("training finds what a Gaussian cannot say") {
  // x_1 = x_0^2 + noise: uncorrelated, but far from independent.
  constexpr std::int64_t B = 256;
  const std::vector<double> z = random_values(2 * B, 8);
  std::vector<double> x;
  for (std::size_t r = 0; r < B; ++r)
    x.insert(x.end(), {z[2 * r], (z[2 * r] * z[2 * r] - 1) / std::sqrt(2.) + .1 * z[2 * r + 1]});
  ContractRows data;
  data.x = make_tensor(x, {B, 2}, DType::f32);
  data.code = Tensor::from(std::vector<std::int32_t>(2 * B, -1), {B, 2});
  data.mask = make_tensor(std::vector<double>(2 * B, 1), {B, 2}, DType::f32);
  MaskedMlpOptions o;
  o.layout = FeatureLayout::numeric(2);
  o.base = GaussianBase::fit(data.x);
  o.hidden = 32;
  MaskedMlp p(o);
  TeamPool pool;
  p.prepare(1, B);
  double first = 0, last = 0;
  for (std::uint64_t step = 1; step <= 300; ++step) {
    const double loss = train_step(p, pool, data, data.mask, even_sizes(2), step);
    if (step <= 20) first += loss / 20;
    if (step > 280) last += loss / 20;
    ops::adam_step(pool.main(), {.learning_rate = 5e-3}, static_cast<std::int64_t>(step),
                   p.store().flat_gradients(), {}, {}, p.store().flat_values(), p.store().flat_moment1(),
                   p.store().flat_moment2());
  }
  CHECK(last < first - .5);
}

TEST_CASE("options of the masked MLP are checked") {
  MaskedMlpOptions o;
  o.layout = FeatureLayout::numeric(3);
  o.base = correlated_base(2);
  CHECK_THROWS_WITH_AS(MaskedMlp{o}, "the Gaussian base has 2 features, expected 3 as the layout",
                       ConfigError);
  o.base = correlated_base(3);
  o.hidden = 0;
  CHECK_THROWS_AS(MaskedMlp{o}, ConfigError);
}
