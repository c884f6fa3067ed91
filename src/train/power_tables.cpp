#include "train/power_tables.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "emshap/data/step_clip.h"
#include "emshap/data/steps.h"
#include "emshap/layers/activation.h"
#include "emshap/ops/activation.h"
#include "emshap/ops/gather.h"
#include "emshap/ops/linear.h"
#include "layers/scratch.h"

namespace emshap {
namespace {

using Values = std::vector<double>;

/// Weights (inputs, outputs) and bias in double, the batch normalisation behind them folded in.
struct FoldedLayer {
  std::int64_t inputs = 0, outputs = 0;
  Values weight, bias;
};

FoldedLayer folded(const ParameterStore& store, const std::string& name, std::int64_t inputs,
                   std::int64_t outputs, bool batch_norm, const std::string& linear) {
  FoldedLayer layer{inputs, outputs, store.get(store.find(name + linear + ".weight")), {}};
  const auto n = static_cast<std::size_t>(outputs);
  if (!batch_norm) {
    layer.bias = store.get(store.find(name + linear + ".bias"));
    return layer;
  }
  const Values gamma = store.get(store.find(name + ".norm.gamma")),
               beta = store.get(store.find(name + ".norm.beta")),
               mean = store.get(store.find_buffer(name + ".norm.running_mean")),
               variance = store.get(store.find_buffer(name + ".norm.running_var"));
  for (std::size_t o = 0; o < n; ++o) {
    const double scale = gamma[o] / std::sqrt(variance[o] + BatchNormOptions{}.eps);
    for (std::size_t i = 0; i < static_cast<std::size_t>(inputs); ++i) layer.weight[i * n + o] *= scale;
    layer.bias.push_back(beta[o] - scale * mean[o]);
  }
  return layer;
}

Tensor rounded(const Values& values, Shape shape) {
  Tensor t(shape);
  for (std::size_t i = 0; i < values.size(); ++i) t.ptr<float>()[i] = static_cast<float>(values[i]);
  return t;
}

float first_float_from(double x) {
  const auto f = static_cast<float>(x);
  return static_cast<double>(f) >= x ? f : std::nextafter(f, std::numeric_limits<float>::infinity());
}

bool usual_steps(const Pipeline& pipeline) {
  for (std::size_t i = 0; i < pipeline.size(); ++i) {
    const Step& s = pipeline.step(i);
    const bool known = dynamic_cast<const DropConstant*>(&s) || dynamic_cast<const MeanImpute*>(&s) ||
                       dynamic_cast<const StandardScaler*>(&s) || dynamic_cast<const PiecewiseLinear*>(&s) ||
                       (i == 0 && dynamic_cast<const Clip*>(&s));
    if (!known) return false;
  }
  return pipeline.find<DropConstant>() != nullptr && pipeline.find<StandardScaler>() != nullptr &&
         pipeline.size() == 2u + (pipeline.find<MeanImpute>() != nullptr ? 1 : 0) +
                                (pipeline.find<PiecewiseLinear>() != nullptr ? 1 : 0) +
                                (pipeline.find<Clip>() != nullptr ? 1 : 0);
}

}  // namespace

std::optional<PowerTables> PowerTables::make(const PowerModel& model) {
  const PowerPredictorOptions& o = model.network->options();
  const Pipeline& pipeline = model.scaler.features;
  const auto* target = model.scaler.target.find<StandardScaler>();
  if (o.residual_blocks > 0 || o.hidden.empty() || !usual_steps(pipeline) ||
      model.scaler.target.size() != (target != nullptr ? 1u : 0u))
    return std::nullopt;
  PowerTables out;
  out.activation_ = o.activation;
  if (target != nullptr) {
    out.scale_ = target->scales()[0];
    out.shift_ = target->means()[0];
  }
  out.column_ = pipeline.find<DropConstant>()->kept();
  if (const auto* clip = pipeline.find<Clip>())
    for (const std::int64_t c : out.column_) {
      out.low_.push_back(static_cast<float>(clip->low()[static_cast<std::size_t>(c)]));
      out.high_.push_back(static_cast<float>(clip->high()[static_cast<std::size_t>(c)]));
    }
  const StandardScaler& scaler = *pipeline.find<StandardScaler>();
  const auto* bins = pipeline.find<PiecewiseLinear>();
  const std::size_t features = out.column_.size();
  std::vector<Values> edges(features);
  out.first_ = {0};
  out.knots_ = {0};
  for (std::size_t t = 0; t < features; ++t) {
    if (bins != nullptr) edges[t] = bins->edges(t);
    const auto raw = [&](double u) { return scaler.means()[t] + scaler.scales()[t] * u; };
    std::vector<float> knots;
    for (const double e : edges[t]) knots.push_back(first_float_from(raw(e)));
    out.at_.insert(out.at_.end(), knots.begin(), knots.end());
    out.origin_.push_back(knots.empty() ? static_cast<float>(raw(0)) : knots.front());
    out.origin_.insert(out.origin_.end(), knots.begin(), knots.end());
    out.knots_.push_back(static_cast<std::int32_t>(out.at_.size()));
    out.first_.push_back(static_cast<std::int32_t>(out.origin_.size()));
  }
  const ParameterStore& store = model.network->store();
  for (int m = 0; m < o.members; ++m) {
    const std::string prefix = o.members == 1 ? "" : fmt::format("member{}.", m);
    Member member;
    std::int64_t inputs = o.features;
    for (std::size_t l = 0; l <= o.hidden.size(); ++l) {
      const bool last = l == o.hidden.size();
      const std::int64_t outputs = last ? 1 : o.hidden[l];
      const FoldedLayer layer = last ? folded(store, prefix + "output", inputs, 1, false, "")
                                     : folded(store, fmt::format("{}hidden{}", prefix, l), inputs, outputs,
                                              o.batch_norm, ".linear");
      if (l > 0) {
        member.layers.push_back({rounded(layer.weight, {inputs, outputs}), rounded(layer.bias, {outputs})});
        inputs = outputs;
        continue;
      }
      const auto H = static_cast<std::size_t>(outputs);
      Values table(out.origin_.size() * 2 * H, 0.);
      std::size_t line = 0, input = 0;
      for (std::size_t t = 0; t < features; ++t) {
        const Values& e = edges[t];
        const std::size_t pieces = e.size() + 1;
        for (std::size_t j = 0; j < pieces; ++j, ++line) {
          const double at = (static_cast<double>(out.origin_[line]) - scaler.means()[t]) / scaler.scales()[t];
          double* value = table.data() + line * 2 * H;
          double* slope = value + H;
          const auto add = [&](std::size_t i, double level, double rise) {
            for (std::size_t h = 0; h < H; ++h) {
              value[h] += layer.weight[i * H + h] * level;
              slope[h] += layer.weight[i * H + h] * rise / scaler.scales()[t];
            }
          };
          add(input, at, 1);
          for (std::size_t b = 0; b + 1 < e.size(); ++b) {
            const double rise = 1 / (e[b + 1] - e[b]);
            add(input + 1 + b, std::clamp((at - e[b]) * rise, 0., 1.), j == b + 1 ? rise : 0);
          }
        }
        input += e.empty() ? 1 : e.size();
      }
      member.table = rounded(table, {static_cast<std::int64_t>(out.origin_.size()), 2 * outputs});
      member.base = rounded(layer.bias, {outputs});
      inputs = outputs;
    }
    out.members_.push_back(std::move(member));
  }
  return out;
}

std::int64_t PowerTables::widest() const {
  std::int64_t width = 1;
  for (const Member& m : members_) {
    width = std::max(width, m.base.cols());
    for (const Layer& l : m.layers) width = std::max(width, l.bias.cols());
  }
  return width;
}

void PowerTables::find(ConstTensorView raw, const std::int64_t* features, std::int64_t count,
                       TensorView index, TensorView factor) const {
  for (std::int64_t i = 0; i < count; ++i) {
    const auto t = static_cast<std::size_t>(features[i]);
    const float* const knots = at_.data() + knots_[t];
    const std::int32_t pieces = knots_[t + 1] - knots_[t], first = first_[t];
    const float* x = raw.ptr<float>() + column_[t];
    float at[tile_rows];
    std::int32_t below[tile_rows];  // how many pieces begin at or before the value
    const std::int64_t rows = raw.rows();
    for (std::int64_t r = 0; r < rows; ++r) at[r] = x[r * raw.row_stride()];
    if (!low_.empty()) {
      const float low = low_[t], high = high_[t];
      for (std::int64_t r = 0; r < rows; ++r) at[r] = at[r] < low ? low : at[r] > high ? high : at[r];
    }
    if (pieces <= 64) {  // comparing with all of them goes many values at a time
      std::fill_n(below, rows, first);
      for (std::int32_t k = 0; k < pieces; ++k)
        for (std::int64_t r = 0; r < rows; ++r) below[r] += at[r] >= knots[k] ? 1 : 0;
    } else {
      for (std::int64_t r = 0; r < rows; ++r)
        below[r] = first + static_cast<std::int32_t>(std::upper_bound(knots, knots + pieces, at[r]) - knots);
    }
    std::int32_t* line = index.ptr<std::int32_t>() + i;
    float* away = factor.ptr<float>() + i;
    for (std::int64_t r = 0; r < rows; ++r) {
      line[r * count] = below[r];
      away[r * count] = at[r] - origin_[static_cast<std::size_t>(below[r])];
    }
  }
}

void PowerTables::predict(Context& ctx, ConstTensorView raw, std::int64_t group, ConstTensorView same,
                          TensorView y) const {
  const std::int64_t rows = raw.rows(), most = std::min(rows, tile_rows),
                     features = static_cast<std::int64_t>(column_.size());
  if (rows == 0) return;
  const bool grouped = same.elements() > 0;
  const Workspace::Scope scope(ctx.workspace());
  const TensorView h[2] = {scratch(ctx, {most * widest()}, DType::f32),
                           scratch(ctx, {most * widest()}, DType::f32)};
  const TensorView out = scratch(ctx, {most, 1}, DType::f32), base = scratch(ctx, {widest()}, DType::f32);
  auto* sum = ctx.workspace().take<double>(most);
  auto* own = ctx.workspace().take<std::int64_t>(features);
  auto* common = ctx.workspace().take<std::int64_t>(features);
  for (std::int64_t begin = 0; begin < rows; begin += most) {
    const std::int64_t n = std::min(most, rows - begin);
    std::fill_n(sum, n, 0.);
    const Workspace::Scope tile(ctx.workspace());
    // What the parts of the tile look up: the same for all members.
    struct Part {
      std::int64_t first, rows;
      TensorView index, factor, common_index, common_factor;
    };
    const std::int64_t parts = grouped ? (begin + n - 1) / group - begin / group + 1 : 1;
    auto* part = ctx.workspace().take<Part>(parts);
    for (std::int64_t p = 0; p < parts; ++p) {
      const std::int64_t g = grouped ? begin / group + p : 0;
      const std::int64_t first = grouped ? std::max(begin, g * group) : begin;
      const std::int64_t end = grouped ? std::min(begin + n, (g + 1) * group) : begin + n;
      std::int64_t alone = 0, together = 0;
      for (std::int64_t t = 0; t < features; ++t) {
        const bool shared =
            grouped && same.ptr<float>()[g * same.row_stride() + column_[static_cast<std::size_t>(t)]] > .5f;
        if (shared)
          common[together++] = t;
        else
          own[alone++] = t;
      }
      part[p] = {first - begin,
                 end - first,
                 scratch(ctx, {end - first, alone}, DType::i32),
                 scratch(ctx, {end - first, alone}, DType::f32),
                 scratch(ctx, {1, together}, DType::i32),
                 scratch(ctx, {1, together}, DType::f32)};
      find(raw.rows(first, end - first), own, alone, part[p].index, part[p].factor);
      find(raw.rows(first, 1), common, together, part[p].common_index, part[p].common_factor);
    }
    const bool relu = activation_ == Activation::relu;
    const Activation fused = relu ? Activation::relu : Activation::identity;
    for (const Member& m : members_) {
      const std::int64_t H = m.base.cols();
      TensorView x = h[0].columns(0, n * H).reshaped({n, H});
      for (std::int64_t p = 0; p < parts; ++p) {
        ConstTensorView start = m.base.view();
        if (part[p].common_index.cols() > 0) {
          const TensorView sums = base.columns(0, H);
          ops::sum_table_lines(ctx, m.table, part[p].common_index, part[p].common_factor, start,
                               Activation::identity, sums.reshaped({1, H}));
          start = sums;
        }
        ops::sum_table_lines(ctx, m.table, part[p].index, part[p].factor, start, fused,
                             x.rows(part[p].first, part[p].rows));
      }
      if (!relu) ops::activation_forward(ctx, activation_, x, x);
      for (std::size_t l = 0; l < m.layers.size(); ++l) {
        const bool last = l + 1 == m.layers.size();
        const Layer& layer = m.layers[l];
        const TensorView next =
            last ? out.rows(0, n)
                 : h[(l + 1) % 2].columns(0, n * layer.bias.cols()).reshaped({n, layer.bias.cols()});
        ops::linear_forward(ctx, x, layer.weight, layer.bias, last ? Activation::identity : activation_,
                            next);
        x = next;
      }
      for (std::int64_t r = 0; r < n; ++r) sum[r] += static_cast<double>(out.ptr<float>()[r]);
    }
    const double share = scale_ / static_cast<double>(members_.size());
    for (std::int64_t r = 0; r < n; ++r)
      y.ptr<float>()[(begin + r) * y.row_stride()] = static_cast<float>(shift_ + share * sum[r]);
  }
}

}  // namespace emshap
