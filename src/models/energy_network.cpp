#include "emshap/models/energy_network.h"

#include <cmath>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/data/graph_writer.h"
#include "emshap/layers/activation.h"
#include "emshap/ops/elementwise.h"
#include "emshap/ops/energy_infer.h"
#include "emshap/ops/linear.h"
#include "emshap/ops/mlp_infer.h"
#include "layers/send.h"

namespace emshap {
namespace {

EnergyNetworkOptions checked(const EnergyNetworkOptions& o) {
  if (o.features < 1 || o.context < 1 || o.hidden < 1)
    throw ConfigError(
        fmt::format("the energy network has {} features, {} context and {} hidden units, expected at least 1",
                    o.features, o.context, o.hidden));
  if (o.blocks < 0 || o.depth < 1)
    throw ConfigError(fmt::format("the energy network has {} blocks of {} layers, expected at least 0 and 1",
                                  o.blocks, o.depth));
  if (o.form == EnergyForm::residual && !(o.bound > 0 && std::isfinite(o.bound)))
    throw ConfigError(fmt::format("the energy network's bound is {}, expected a positive number", o.bound));
  return o;
}

/// The map alone where its derivative needs the sum before the activation.
Activation fused(Activation activation) {
  return derivative_from_output(activation) ? activation : Activation::identity;
}

void scale(ParameterStore& store, ParameterId id, double factor) {
  std::vector<double> values = store.get(id);
  for (double& v : values) v *= factor;
  store.set(id, values);
}

/// Rows of completions that share a row of the condition.
std::int64_t group_size(ConstTensorView x, ConstTensorView mask, ConstTensorView context,
                        std::int64_t energies) {
  if (mask.rows() != context.rows() || x.rows() != energies ||
      (mask.rows() == 0 ? x.rows() != 0 : x.rows() % mask.rows() != 0))
    throw ShapeError(
        fmt::format("the energy network got {} rows of x, {} of mask, {} of context and {} energies, "
                    "expected one energy a row of x, as "
                    "many rows of mask as of context, and a multiple of them of x",
                    x.rows(), mask.rows(), context.rows(), energies));
  return mask.rows() == 0 ? 1 : x.rows() / mask.rows();
}

/// Below this, adding the shared part in a pass of its own beats one small product a group; on a GPU always.
constexpr std::int64_t small_group = 4;
constexpr std::int64_t gpu_tile_rows = std::int64_t{1} << 16;

}  // namespace

EnergyForm parse_energy_form(const std::string& name) {
  if (name == "residual") return EnergyForm::residual;
  if (name == "absolute") return EnergyForm::absolute;
  throw ConfigError(fmt::format("energy form '{}' is not known, expected residual or absolute", name));
}

const char* to_string(EnergyForm form) {
  return form == EnergyForm::residual ? "residual" : "absolute";
}

EnergyNetwork::EnergyNetwork(const EnergyNetworkOptions& o, DType dtype, Device device)
    : options_(checked(o)),
      store_(std::make_unique<ParameterStore>()),
      completion_(*store_, "energy.completion",
                  {.inputs = o.features, .outputs = o.hidden, .bias = false, .followed_by = o.activation}),
      condition_(*store_, "energy.condition",
                 {.inputs = o.features + o.context, .outputs = o.hidden, .followed_by = o.activation}),
      layers_([&] {
        std::vector<MlpBlock> layers;
        for (int b = 0; b < o.blocks; ++b)
          for (int j = 0; j < o.depth; ++j)
            layers.emplace_back(*store_, fmt::format("energy.block{}.{}", b, j),
                                MlpBlockOptions{.inputs = o.hidden,
                                                .outputs = o.hidden,
                                                .batch_norm = false,
                                                .activation = o.activation});
        return layers;
      }()),
      output_(*store_, "energy.output", {.inputs = o.hidden, .outputs = 1, .init = Init::xavier_uniform}) {
  store_->allocate(dtype, device);
  completion_.initialise(o.seed);
  condition_.initialise(o.seed);
  for (MlpBlock& l : layers_) l.initialise(o.seed);
  output_.initialise(o.seed);
  // The two parts of the first layer are one layer of 2 F + H inputs, whose weights depend on that number.
  const auto F = static_cast<double>(o.features), H = static_cast<double>(o.context);
  scale(*store_, completion_.weight(), std::sqrt(F / (2 * F + H)));
  scale(*store_, condition_.weight(), std::sqrt((F + H) / (2 * F + H)));
  scale(*store_, output_.weight(), .03);
}

EnergyNetwork::~EnergyNetwork() = default;

/// h (n, hidden) from x (n, F) and shared (n / group, hidden); z keeps the sum where it is wanted.
void EnergyNetwork::first_layer(Context& ctx, ConstTensorView x, ConstTensorView shared, std::int64_t group,
                                TensorView z, TensorView h) const {
  const std::int64_t H = options_.hidden;
  const ConstTensorView w = store_->value(completion_.weight());
  const Activation inside = wanted(z) ? Activation::identity : fused(options_.activation);
  const TensorView sum = wanted(z) ? z : h;
  if (group < small_group || on_gpu(ctx)) {
    ops::linear_forward(ctx, x, w, {}, Activation::identity, sum);
    const TensorView groups = sum.reshaped({shared.rows(), group * H});
    for (std::int64_t k = 0; k < group; ++k) {
      const TensorView part = groups.columns(k * H, H);
      ops::add(ctx, part, shared, part);
    }
    ops::activation_forward(ctx, options_.activation, sum, h);
    return;
  }
  for (std::int64_t b = 0; b < shared.rows(); ++b)
    ops::linear_forward(ctx, x.rows(b * group, group), w, shared.rows(b, 1), inside,
                        sum.rows(b * group, group));
  if (inside != options_.activation) ops::activation_forward(ctx, options_.activation, sum, h);
}

/// energy from raw (n, 1), which becomes tanh(raw / bound) in the residual form.
void EnergyNetwork::finish(Context& ctx, TensorView raw, TensorView energy) const {
  const TensorView out = energy.reshaped({raw.rows(), 1});
  if (options_.form == EnergyForm::absolute) return ops::copy(ctx, raw, out);
  ops::affine(ctx, raw, 1 / options_.bound, 0, raw);
  ops::activation_forward(ctx, Activation::tanh, raw, raw);
  ops::affine(ctx, raw, options_.bound, 0, out);
}

/// Conditions that share a call of the fused op.
constexpr std::int64_t fused_conditions = 65536;

void EnergyNetwork::infer_fused(Context& ctx, ConstTensorView x, ConstTensorView mask,
                                ConstTensorView context, TensorView energy) const {
  const std::int64_t F = options_.features, C = options_.context, B = mask.rows();
  const std::int64_t R = group_size(x, mask, context, energy.elements());
  const TensorView all = energy.reshaped({x.rows()});
  std::vector<ops::EnergyLayer> layers;
  for (const MlpBlock& l : layers_)
    layers.push_back({store_->value(l.linear().weight()), store_->value(l.linear().bias())});
  ops::EnergyWeights w;
  w.completion = store_->value(completion_.weight());
  w.layers = layers;
  w.depth = options_.depth;
  w.output = store_->value(output_.weight());
  w.output_bias = store_->value(output_.bias());
  w.activation = options_.activation;
  w.bound = options_.form == EnergyForm::residual ? options_.bound : 0;
  const ops::MlpLayer first{store_->value(condition_.weight()), store_->value(condition_.bias())};
  const Workspace::Scope scope(ctx.workspace());
  const std::int64_t most = std::min(fused_conditions, B);
  const TensorView condition = scratch(ctx, {most, F + C}, x.dtype());
  const TensorView shared = scratch(ctx, {most, options_.hidden}, x.dtype());
  for (std::int64_t b = 0; b < B; b += most) {
    const std::int64_t n = std::min(most, B - b);
    ops::copy(ctx, mask.rows(b, n), condition.rows(0, n).columns(0, F));
    ops::copy(ctx, context.rows(b, n), condition.rows(0, n).columns(F, C));
    // Not by cuBLAS, whose sums may depend on the number of rows.
    ops::mlp_infer(ctx, {&first, 1}, Activation::identity, condition.rows(0, n), shared.rows(0, n));
    ops::energy_infer(ctx, w, x.rows(b * R, n * R), shared.rows(0, n),
                      all.columns(b * R, n * R).reshaped({n * R}));
  }
}

void EnergyNetwork::infer(Context& ctx, ConstTensorView x, ConstTensorView mask, ConstTensorView context,
                          TensorView energy) const {
  if (ops::fused_energy(ctx) && static_cast<std::int64_t>(layers_.size()) <= ops::energy_most_layers)
    return infer_fused(ctx, x, mask, context, energy);
  const std::int64_t F = options_.features, H = options_.hidden, C = options_.context;
  const std::int64_t R = group_size(x, mask, context, energy.elements());
  const TensorView all = energy.reshaped({x.rows()});
  // On a GPU as many conditions as fit, each in one piece.
  const std::int64_t wanted_rows = on_gpu(ctx) ? std::max(gpu_tile_rows, R) : tile_rows;
  const std::int64_t most = std::max<std::int64_t>(1, wanted_rows / std::max<std::int64_t>(R, 1));
  const std::int64_t conditions = std::min(most, mask.rows());
  const std::int64_t tile = std::min(wanted_rows, conditions * R);
  const Workspace::Scope scope(ctx.workspace());
  const TensorView condition = scratch(ctx, {conditions, F + C}, x.dtype());
  const TensorView shared_all = scratch(ctx, {conditions, H}, x.dtype());
  const TensorView stream_all = scratch(ctx, {tile, H}, x.dtype()),
                   raw_all = scratch(ctx, {tile, 1}, x.dtype());
  const TensorView u_all[2] = {scratch(ctx, {tile, H}, x.dtype()), scratch(ctx, {tile, H}, x.dtype())};
  for (std::int64_t b = 0; b < mask.rows(); b += most) {
    const std::int64_t n = std::min(most, mask.rows() - b);
    ops::copy(ctx, mask.rows(b, n), condition.rows(0, n).columns(0, F));
    ops::copy(ctx, context.rows(b, n), condition.rows(0, n).columns(F, C));
    const TensorView shared = shared_all.rows(0, n);
    condition_.infer(ctx, condition.rows(0, n), shared);
    // One condition with many completions passes in several tiles, several conditions in one.
    for (std::int64_t r = 0; r < n * R; r += tile) {
      const std::int64_t count = std::min(tile, n * R - r);
      const TensorView stream = stream_all.rows(0, count), raw = raw_all.rows(0, count);
      first_layer(ctx, x.rows(b * R + r, count), shared, count / n, {}, stream);
      for (int block = 0; block < options_.blocks; ++block) {
        ConstTensorView u = stream;
        for (int j = 0; j < options_.depth; ++j) {
          const TensorView next = u_all[j % 2].rows(0, count);
          layers_[static_cast<std::size_t>(block * options_.depth + j)].infer(ctx, u, next);
          u = next;
        }
        ops::add(ctx, stream, u, stream);
      }
      output_.infer(ctx, stream, raw);
      finish(ctx, raw, all.columns(b * R + r, count));
    }
  }
}

void EnergyNetwork::forward(Context& ctx, ConstTensorView x, ConstTensorView mask, ConstTensorView context,
                            TensorView energy, Cache& cache) {
  const std::int64_t F = options_.features, H = options_.hidden, C = options_.context;
  const std::int64_t R = group_size(x, mask, context, energy.elements()), B = mask.rows(), N = x.rows();
  const auto sized = [&](Tensor& t, std::int64_t rows, std::int64_t cols) {
    t.ensure({rows, cols}, x.dtype(), ctx.device());
    return t.view();
  };
  cache.layers.resize(layers_.size());
  cache.u.resize(layers_.size());
  cache.h.resize(static_cast<std::size_t>(options_.blocks));
  cache.x = x;
  const TensorView condition = sized(cache.condition, B, F + C);
  ops::copy(ctx, mask, condition.columns(0, F));
  ops::copy(ctx, context, condition.columns(F, C));
  condition_.forward(ctx, condition, sized(cache.shared, B, H), cache.shared_layer);
  const bool keep_sum = !derivative_from_output(options_.activation);
  TensorView stream = sized(cache.h0, N, H);
  first_layer(ctx, x, cache.shared, R, keep_sum ? sized(cache.z0, N, H) : TensorView(), stream);
  for (int b = 0; b < options_.blocks; ++b) {
    ConstTensorView u = stream;
    for (int j = 0; j < options_.depth; ++j) {
      const auto i = static_cast<std::size_t>(b * options_.depth + j);
      const TensorView out = sized(cache.u[i], N, H);
      layers_[i].forward(ctx, u, out, cache.layers[i]);
      u = out;
    }
    const TensorView next = sized(cache.h[static_cast<std::size_t>(b)], N, H);
    ops::add(ctx, stream, u, next);
    stream = next;
  }
  const TensorView raw = sized(cache.raw, N, 1);
  output_.forward(ctx, stream, raw, cache.output);
  finish(ctx, raw, energy);
}

void EnergyNetwork::backward(Context& ctx, const Cache& cache, ConstTensorView denergy) {
  const std::int64_t H = options_.hidden, N = cache.x.rows(), B = cache.condition.rows();
  const DType dtype = cache.x.dtype();
  const Workspace::Scope scope(ctx.workspace());
  ConstTensorView draw = denergy.reshaped({N, 1});
  if (options_.form == EnergyForm::residual) {  // d bound tanh(raw / bound) / d raw = 1 - tanh^2
    const TensorView buffer = scratch(ctx, {N, 1}, dtype);
    ops::activation_backward(ctx, Activation::tanh, {}, cache.raw, draw, buffer);
    draw = buffer;
  }
  const TensorView stream = scratch(ctx, {N, H}, dtype);
  const TensorView du[2] = {scratch(ctx, {N, H}, dtype), scratch(ctx, {N, H}, dtype)};
  output_.backward(ctx, cache.output, draw, stream);
  for (int b = options_.blocks - 1; b >= 0; --b) {
    ConstTensorView gradient = stream;
    for (int j = options_.depth - 1; j >= 0; --j) {
      const auto i = static_cast<std::size_t>(b * options_.depth + j);
      layers_[i].backward(ctx, cache.layers[i], gradient, du[j % 2]);
      gradient = du[j % 2];
    }
    ops::add(ctx, stream, gradient, stream);
  }
  const bool kept_sum = !derivative_from_output(options_.activation);
  ops::activation_backward(ctx, options_.activation, kept_sum ? cache.z0.view() : ConstTensorView(),
                           kept_sum ? ConstTensorView() : cache.h0.view(), stream, stream);
  completion_.backward(ctx, {.x = cache.x, .y = {}}, stream, {});
  // What the completions of a row share gets the sum of their gradients.
  const TensorView dshared = scratch(ctx, {B, H}, dtype);
  if (B > 0) {
    const std::int64_t R = N / B;
    const TensorView groups = stream.reshaped({B, R * H});
    ops::copy(ctx, groups.columns(0, H), dshared);
    for (std::int64_t k = 1; k < R; ++k) ops::add(ctx, dshared, groups.columns(k * H, H), dshared);
  }
  condition_.backward(ctx, cache.shared_layer, dshared, {});
}

GraphValue EnergyNetwork::to_onnx(GraphWriter& graph, const GraphValue& x, const GraphValue& mask,
                                  const GraphValue& context) const {
  const GraphValue condition = graph.op("Concat", {mask, context}, {{"axis", 1}});
  const GraphValue sum =
      graph.op("Add", {completion_.to_onnx(graph, x), condition_.to_onnx(graph, condition)});
  GraphValue h = ActivationLayer(options_.activation).to_onnx(graph, sum);
  for (int b = 0; b < options_.blocks; ++b) {
    GraphValue u = h;
    for (int j = 0; j < options_.depth; ++j)
      u = layers_[static_cast<std::size_t>(b * options_.depth + j)].to_onnx(graph, u);
    h = graph.op("Add", {h, u});
  }
  const GraphValue raw = output_.to_onnx(graph, h);
  if (options_.form == EnergyForm::absolute) return raw;
  const GraphValue inside = graph.op("Mul", {raw, graph.scalar(static_cast<float>(1 / options_.bound))});
  return graph.op("Mul", {graph.op("Tanh", {inside}), graph.scalar(static_cast<float>(options_.bound))});
}

}  // namespace emshap
