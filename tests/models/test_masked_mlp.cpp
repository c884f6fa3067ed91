#include "emshap/models/masked_mlp.h"

#include <Eigen/Dense>

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

TEST_CASE("conditionals are the formulas of the header, from the parameters by name") {
  const std::int64_t F = 5, H = 6, C = 2;
  const auto p = make(F, DType::f64, H, C);
  randomise_parameters(p->store());
  const ContractRows data = contract_rows(p->layout(), 12, DType::f64);
  const FeatureLayout& layout = p->layout();
  const std::int64_t V = layout.total_categories();
  Context ctx;
  Conditionals q, base;
  p->conditionals(ctx, data.rows(), data.mask, q);
  GaussianProposal(FeatureLayout::numeric(F), p->options().base, DType::f64)
      .conditionals(ctx, data.rows(), data.mask, base);

  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  std::vector<std::vector<double>> kept;
  const auto weight = [&](const std::string& name, std::int64_t rows, std::int64_t cols) -> Matrix {
    kept.push_back(p->store().get(p->store().find(name)));
    return Eigen::Map<const Matrix>(kept.back().data(), rows, cols);
  };
  const std::vector<double> x = to_doubles(data.x), mask = to_doubles(data.mask),
                            moments = to_doubles(base.mixture);
  for (std::int64_t b = 0; b < 12; ++b) {
    Eigen::RowVectorXd z = Eigen::RowVectorXd::Zero(4 * F + V);
    const auto offset = layout.offsets();
    for (std::int64_t t = 0; t < F; ++t) {
      const auto i = static_cast<std::size_t>(b * F + t);
      const std::int32_t code = data.code.ptr<std::int32_t>()[i];
      if (mask[i] == 1) {
        z[t] = x[i];
        z[F + t] = 1;
        if (code >= 0) z[4 * F + offset[static_cast<std::size_t>(t)] + code] = 1;
      } else {
        z[2 * F + t] = moments[3 * i + 1];
        z[3 * F + t] = moments[3 * i + 2];
      }
    }
    Eigen::RowVectorXd h =
        (z * weight("input.linear.weight", 4 * F + V, H) + weight("input.linear.bias", 1, H)).cwiseMax(0);
    for (const std::string block : {"block0", "block1"}) {
      const Eigen::RowVectorXd u =
          (h * weight(block + ".first.linear.weight", H, H) + weight(block + ".first.linear.bias", 1, H))
              .cwiseMax(0);
      h += u * weight(block + ".second.weight", H, H) + weight(block + ".second.bias", 1, H);
    }
    h = h.cwiseMax(0);
    check_close("context", slice(q.context, b), std::span(h.data(), static_cast<std::size_t>(H)),
                {1e-12, 1e-12});
    const Eigen::RowVectorXd heads =
        h * weight("mixture.weight", H, 3 * C * F) + weight("mixture.bias", 1, 3 * C * F);
    const Eigen::RowVectorXd logits = h * weight("category.weight", H, V) + weight("category.bias", 1, V);
    std::vector<double> mixture, categorical;
    for (std::int64_t t = 0; t < F; ++t) {
      const auto i = static_cast<std::size_t>(b * F + t);
      const Eigen::ArrayXd head = heads.segment(3 * C * t, 3 * C).transpose();
      const double mu = moments[3 * i + 1], s = std::exp(moments[3 * i + 2]);
      const bool numeric = mask[i] == 0 && !layout.categorical(t);
      for (std::int64_t c = 0; c < C; ++c)
        mixture.push_back(numeric ? head[c] - std::log(head.head(C).exp().sum()) : 0);
      for (std::int64_t c = 0; c < C; ++c) mixture.push_back(numeric ? mu + s * head[C + c] : 0);
      for (std::int64_t c = 0; c < C; ++c)
        mixture.push_back(numeric ? std::log(s * (std::log1p(std::exp(head[2 * C + c])) + 1e-3)) : 0);
      const std::int64_t at = offset[static_cast<std::size_t>(t)],
                         n = layout.categories[static_cast<std::size_t>(t)];
      for (std::int64_t v = 0; v < n; ++v)
        categorical.push_back(
            mask[i] == 1
                ? 0
                : std::log(.99 * std::exp(logits[at + v]) / logits.segment(at, n).array().exp().sum() +
                           .01 * layout.frequencies[static_cast<std::size_t>(at + v)]));
    }
    check_close("mixture", slice(q.mixture, b), mixture, {1e-9, 1e-9});
    check_close("categorical", slice(q.categorical, b), categorical, {1e-9, 1e-9});
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
