#include "emshap/layers/skip_mlp.h"

#include <utility>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/ops/elementwise.h"
#include "layers/scratch.h"

namespace emshap {
namespace {

SkipMlpOptions checked(const SkipMlpOptions& o, const std::string& name) {
  if (o.blocks < 0 || o.depth < 1)
    throw ConfigError(fmt::format("skip MLP '{}' has {} blocks of {} layers, expected at least 0 and 1", name,
                                  o.blocks, o.depth));
  return o;
}

MlpBlockOptions layer(const SkipMlpOptions& o, std::int64_t inputs) {
  return {
      .inputs = inputs, .outputs = o.hidden, .batch_norm = false, .activation = o.activation, .init = o.init};
}

std::int64_t width(const SkipMlpOptions& o) {
  return o.skip == Skip::concat ? o.hidden + o.inputs : o.hidden;
}

}  // namespace

Skip parse_skip(const std::string& name) {
  if (name == "add") return Skip::add;
  if (name == "concat") return Skip::concat;
  throw ConfigError(fmt::format("skip connection '{}' is not known, expected add or concat", name));
}

const char* to_string(Skip skip) {
  return skip == Skip::add ? "add" : "concat";
}

SkipMlp::SkipMlp(ParameterStore& store, const std::string& name, const SkipMlpOptions& o)
    : options_(checked(o, name)),
      input_(store, name + ".input", layer(o, o.inputs)),
      layers_([&] {
        std::vector<MlpBlock> layers;
        for (int b = 0; b < o.blocks; ++b)
          for (int j = 0; j < o.depth; ++j)
            layers.emplace_back(store, fmt::format("{}.block{}.{}", name, b, j),
                                layer(o, j == 0 ? width(o) : o.hidden));
        return layers;
      }()),
      output_(store, name + ".output",
              {.inputs = width(o), .outputs = o.outputs, .init = Init::xavier_uniform}) {}

void SkipMlp::initialise(std::uint64_t seed) {
  input_.initialise(seed);
  for (MlpBlock& l : layers_) l.initialise(seed);
  output_.initialise(seed);
}

void SkipMlp::infer(Context& ctx, ConstTensorView x, TensorView y) const {
  const std::int64_t H = options_.hidden, K = options_.inputs;
  const bool concat = options_.skip == Skip::concat;
  const Workspace::Scope scope(ctx.workspace());
  const std::int64_t most = std::min(tile_rows, x.rows());
  const TensorView stream_all = scratch(ctx, {most, width(options_)}, x.dtype());
  const TensorView u_all[2] = {scratch(ctx, {most, H}, x.dtype()), scratch(ctx, {most, H}, x.dtype())};
  for_row_tiles(x.rows(), [&](std::int64_t begin, std::int64_t count) {
    const TensorView stream = stream_all.rows(0, count), h = stream.columns(0, H);
    const ConstTensorView tile = x.rows(begin, count);
    input_.infer(ctx, tile, h);
    if (concat) ops::copy(ctx, tile, stream.columns(H, K));
    for (int b = 0; b < options_.blocks; ++b) {
      ConstTensorView u = stream;
      for (int j = 0; j < options_.depth; ++j) {
        const TensorView next = u_all[j % 2].rows(0, count);
        layers_[static_cast<std::size_t>(b * options_.depth + j)].infer(ctx, u, next);
        u = next;
      }
      if (concat)
        ops::copy(ctx, u, h);
      else
        ops::add(ctx, h, u, h);
    }
    output_.infer(ctx, stream, y.rows(begin, count));
  });
}

void SkipMlp::forward(Context& ctx, ConstTensorView x, TensorView y, Cache& cache) {
  const std::int64_t H = options_.hidden, K = options_.inputs, B = x.rows();
  const bool concat = options_.skip == Skip::concat;
  cache.layers.resize(layers_.size());
  cache.u.resize(layers_.size());
  cache.h.resize(static_cast<std::size_t>(options_.blocks));
  const auto stream_tensor = [&](Tensor& t) {  // (B, H), or (B, H + K) with x already in place
    t.ensure({B, width(options_)}, x.dtype(), ctx.device());
    if (concat) ops::copy(ctx, x, t.view().columns(H, K));
    return t.view();
  };
  TensorView stream = stream_tensor(cache.h0);
  input_.forward(ctx, x, stream.columns(0, H), cache.input);
  for (int b = 0; b < options_.blocks; ++b) {
    const TensorView next = stream_tensor(cache.h[static_cast<std::size_t>(b)]);
    ConstTensorView u = stream;
    for (int j = 0; j < options_.depth; ++j) {
      const auto i = static_cast<std::size_t>(b * options_.depth + j);
      TensorView out;
      if (concat && j + 1 == options_.depth) {
        out = next.columns(0, H);
      } else {
        cache.u[i].ensure({B, H}, x.dtype(), ctx.device());
        out = cache.u[i];
      }
      layers_[i].forward(ctx, u, out, cache.layers[i]);
      u = out;
    }
    if (!concat) ops::add(ctx, stream, u, next);
    stream = next;
  }
  output_.forward(ctx, stream, y, cache.output);
}

void SkipMlp::backward(Context& ctx, const Cache& cache, ConstTensorView dy, TensorView dx) {
  const std::int64_t H = options_.hidden, K = options_.inputs, B = dy.rows();
  const bool concat = options_.skip == Skip::concat;
  const Workspace::Scope scope(ctx.workspace());
  TensorView stream = scratch(ctx, {B, width(options_)}, dy.dtype());  // gradient of h, or of [h, x]
  TensorView next = scratch(ctx, {B, width(options_)}, dy.dtype());
  const TensorView du[2] = {scratch(ctx, {B, H}, dy.dtype()), scratch(ctx, {B, H}, dy.dtype())};
  const TensorView dskip = concat && wanted(dx) ? scratch(ctx, {B, K}, dy.dtype()) : TensorView();
  output_.backward(ctx, cache.output, dy, stream);
  if (wanted(dskip)) ops::copy(ctx, stream.columns(H, K), dskip);
  for (int b = options_.blocks - 1; b >= 0; --b) {
    ConstTensorView gradient = stream.columns(0, H);
    for (int j = options_.depth - 1; j >= 0; --j) {
      const auto i = static_cast<std::size_t>(b * options_.depth + j);
      const TensorView target = j == 0 ? next : du[j % 2];
      layers_[i].backward(ctx, cache.layers[i], gradient, target);
      gradient = target;
    }
    if (!concat) {
      ops::add(ctx, stream, next, stream);
      continue;
    }
    std::swap(stream, next);
    if (wanted(dskip)) ops::add(ctx, dskip, stream.columns(H, K), dskip);
  }
  input_.backward(ctx, cache.input, stream.columns(0, H), dx);
  if (wanted(dskip)) ops::add(ctx, dx, dskip, dx);
}

}  // namespace emshap
