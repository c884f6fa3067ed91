// The layer harness on every layer.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/layers/gru.h"
#include "emshap/layers/mlp_block.h"
#include "emshap/layers/residual_block.h"
#include "emshap/layers/skip_mlp.h"
#include "support/layer_harness.h"

using namespace emshap;
using namespace emshap::test;

namespace {

void check_linear(const LinearOptions& o) {
  check_layer(layer_case(fmt::format("Linear {}-{}{} {}", o.inputs, o.outputs, o.bias ? "" : " without bias",
                                     to_string(o.activation)),
                         o.inputs, o.outputs,
                         [o](ParameterStore& s, DType, Device) { return Linear(s, "layer", o); }));
}

void check_batch_norm(Activation activation, double dropout) {
  const BatchNormOptions o{
      .features = 5, .activation = activation, .dropout = dropout, .seed = 7, .dropout_layer = 2};
  LayerCase c = layer_case(fmt::format("BatchNorm {} dropout {}", to_string(activation), dropout), 5, 5,
                           [o](ParameterStore& s, DType, Device) { return BatchNorm(s, "layer", o); });
  c.batch_statistics = true;
  c.dropout = dropout > 0;
  check_layer(c);
}

void check_mlp_block(bool batch_norm, Activation activation, double dropout) {
  const MlpBlockOptions o{.inputs = 6,
                          .outputs = 9,
                          .batch_norm = batch_norm,
                          .activation = activation,
                          .dropout = dropout,
                          .seed = 7};
  LayerCase c = layer_case(fmt::format("MlpBlock {} {} dropout {}", batch_norm ? "batch norm" : "plain",
                                       to_string(activation), dropout),
                           6, 9, [o](ParameterStore& s, DType, Device) { return MlpBlock(s, "layer", o); });
  c.batch_statistics = batch_norm;
  c.dropout = dropout > 0;
  c.f32_tolerance = 2e-5;
  check_layer(c);
}

void check_residual(bool batch_norm, Activation activation, double dropout) {
  const ResidualBlockOptions o{
      .features = 6, .batch_norm = batch_norm, .activation = activation, .dropout = dropout, .seed = 7};
  LayerCase c =
      layer_case(fmt::format("ResidualBlock {} {} dropout {}", batch_norm ? "batch norm" : "plain",
                             to_string(activation), dropout),
                 6, 6, [o](ParameterStore& s, DType, Device) { return ResidualBlock(s, "layer", o); });
  c.batch_statistics = batch_norm;
  c.dropout = dropout > 0;
  c.f32_tolerance = 4e-5;
  check_layer(c);
}

void check_skip_mlp(Skip skip, int blocks, int depth, Activation activation) {
  const SkipMlpOptions o{.inputs = 5,
                         .hidden = 7,
                         .outputs = 2,
                         .blocks = blocks,
                         .depth = depth,
                         .skip = skip,
                         .activation = activation};
  LayerCase c =
      layer_case(fmt::format("SkipMlp {} {}x{} {}", to_string(skip), blocks, depth, to_string(activation)), 5,
                 2, [o](ParameterStore& s, DType, Device) { return SkipMlp(s, "layer", o); });
  c.f32_tolerance = 2e-5;
  check_layer(c);
}

}  // namespace

TEST_CASE("linear") {
  check_linear({.inputs = 5, .outputs = 4});
  check_linear({.inputs = 5, .outputs = 4, .bias = false});
  check_linear({.inputs = 1, .outputs = 1});
  check_linear({.inputs = 33, .outputs = 17, .activation = Activation::tanh});
  for (const Activation a : {Activation::relu, Activation::leaky_relu, Activation::sigmoid})
    check_linear({.inputs = 7, .outputs = 16, .activation = a});
}

TEST_CASE("batch norm") {
  check_batch_norm(Activation::identity, 0);
  check_batch_norm(Activation::relu, 0);
  check_batch_norm(Activation::relu, .3);
  check_batch_norm(Activation::tanh, 0);
}

TEST_CASE("dropout") {
  for (const double p : {0.0, .3}) {
    LayerCase c = layer_case(fmt::format("Dropout {}", p), 6, 6, [p](ParameterStore&, DType, Device) {
      return Dropout({.probability = p, .seed = 7, .layer = 1});
    });
    c.dropout = p > 0;
    check_layer(c);
  }
}

TEST_CASE("activations") {
  for (const Activation a : {Activation::identity, Activation::relu, Activation::leaky_relu, Activation::gelu,
                             Activation::tanh, Activation::sigmoid, Activation::softplus, Activation::silu})
    check_layer(
        layer_case(to_string(a), 6, 6, [a](ParameterStore&, DType, Device) { return ActivationLayer(a); }));
}

TEST_CASE("MLP block: each way of fusing") {
  check_mlp_block(true, Activation::relu, .2);  // all in the normalisation
  check_mlp_block(true, Activation::relu, 0);
  check_mlp_block(true, Activation::tanh, .2);   // dropout apart
  check_mlp_block(true, Activation::gelu, .2);   // activation and dropout apart
  check_mlp_block(false, Activation::relu, .2);  // activation in the product, dropout apart
  check_mlp_block(false, Activation::silu, 0);   // activation apart
  check_mlp_block(false, Activation::identity, 0);
}

TEST_CASE("residual block") {
  check_residual(true, Activation::relu, .2);
  check_residual(true, Activation::silu, 0);
  check_residual(false, Activation::tanh, 0);
}

TEST_CASE("skip MLP") {
  for (const Skip skip : {Skip::add, Skip::concat}) {
    check_skip_mlp(skip, 2, 2, Activation::silu);
    check_skip_mlp(skip, 2, 1, Activation::relu);
    check_skip_mlp(skip, 1, 3, Activation::tanh);
    check_skip_mlp(skip, 0, 1, Activation::tanh);
  }
}

TEST_CASE("GRU") {
  for (const GruOptions& o : {GruOptions{1, 1, 1}, {3, 4, 1}, {2, 5, 4}, {4, 17, 3}, {5, 16, 2}}) {
    LayerCase c =
        layer_case(fmt::format("Gru {}-{} over {} steps", o.inputs, o.hidden, o.steps), o.inputs * o.steps,
                   o.hidden * o.steps, [o](ParameterStore& s, DType, Device) { return Gru(s, "layer", o); });
    c.f32_tolerance = 4e-5;
    check_layer(c);
  }
}

TEST_CASE("layers refuse what they cannot do, by name") {
  ParameterStore store;
  CHECK_THROWS_WITH_AS(Linear(store, "a", {.inputs = 0, .outputs = 3}),
                       "linear layer 'a' has 0 inputs and 3 outputs, expected at least 1", ConfigError);
  CHECK_THROWS_WITH_AS(Linear(store, "a", {.inputs = 2, .outputs = 3, .activation = Activation::gelu}),
                       "linear layer 'a' cannot fuse gelu, whose derivative needs its input", ConfigError);
  CHECK_THROWS_WITH_AS(Gru(store, "a", {.inputs = 2, .hidden = 0}),
                       "GRU layer 'a' has 2 inputs, 0 hidden units and 1 steps, expected at least 1",
                       ConfigError);
  CHECK_THROWS_AS(BatchNorm(store, "a", {.features = 2, .activation = Activation::tanh, .dropout = .1}),
                  ConfigError);
  CHECK_THROWS_AS(BatchNorm(store, "a", {.features = 2, .dropout = 1}), ConfigError);
  CHECK_THROWS_AS(Dropout({.probability = 1}), ConfigError);
  CHECK_THROWS_AS(Dropout({.probability = -.1}), ConfigError);
  CHECK_THROWS_AS(SkipMlp(store, "a", {.inputs = 2, .blocks = -1}), ConfigError);
  CHECK_THROWS_AS(parse_skip("none"), ConfigError);
  CHECK(parse_skip("concat") == Skip::concat);
}
