#pragma once
// A set-GRU of the CPU and its rows, on a device: what the fused ops take.
#include <string>
#include <vector>

#include "cuda/on_device.h"
#include "emshap/ops/gaussian_base.h"
#include "emshap/ops/linear.h"
#include "emshap/ops/set_gru_sampler.h"
#include "models/set_gru_support.h"
#include "support/devices.h"

namespace emshap::test {

/// Weights and tokens of `model`, an f32 model on the CPU.
inline ops::SetGruWeights device_weights(const SetGru& model, OnDevice& memory) {
  Context cpu;
  const ParameterStore& store = model.store();
  const auto given = [&](const char* name) { return store.value(store.find(name)); };
  const auto sent = [&](const char* name) { return memory.copy(given(name)); };
  const FeatureLayout& layout = model.layout();
  const std::int64_t F = layout.features(), V = layout.total_categories(), H = model.context_width();
  Tensor wa({F, 3 * H}), wb({F + V, 3 * H});
  ops::linear_forward(cpu, given("token.scale"), given("gru.weight_ih"), {}, Activation::identity, wa);
  ops::linear_forward(cpu, given("token.shift"), given("gru.weight_ih"), given("gru.bias_ih"),
                      Activation::identity, wb);
  ops::SetGruWeights w;
  w.wa = memory.copy(wa);
  w.wb = memory.copy(wb);
  w.weight_hh = sent("gru.weight_hh");
  w.bias_hh = sent("gru.bias_hh");
  w.start = sent("start");
  w.state = sent("head.state");
  w.moments = sent("head.moments");
  w.feature = sent("head.feature");
  w.hidden = sent("head.hidden");
  w.mixture = sent("head.mixture");
  w.mixture_bias = sent("head.mixture_bias");
  if (V == 0) return w;
  w.category = sent("head.category");
  w.category_bias = sent("head.category_bias");
  w.values = memory.copy(make_tensor(layout.values, {V}, DType::f32));
  w.frequencies = memory.copy(make_tensor(layout.frequencies, {V}, DType::f32));
  std::vector<std::int32_t> offsets;
  for (const std::int64_t o : layout.offsets()) offsets.push_back(static_cast<std::int32_t>(o));
  w.offsets = memory.copy(Tensor::from(offsets, {F + 1}));
  for (const std::int64_t n : layout.categories) w.widest = std::max(w.widest, n);
  return w;
}

/// Rows with their sequences on the device, and the base's moments computed on the CPU.
struct DeviceRows {
  ops::SetGruRows rows;
  ops::SetGruBase base, one_shot;
};
inline DeviceRows device_rows(Context& ctx, const SetGru& model, const SetGruRows& rows, const Tensor& mask,
                              ConstTensorView target, std::span<const std::int64_t> order, OnDevice& memory) {
  const std::int64_t B = rows.x.rows(), F = rows.x.cols();
  DeviceRows d;
  d.rows.x = memory.copy(rows.x);
  d.rows.mask = memory.copy(mask);
  if (model.layout().total_categories() > 0) d.rows.code = memory.copy(rows.code);
  const TensorView sequence = memory.make({B, F}, DType::i32), known = memory.make({B}, DType::i32),
                   count = memory.make({B}, DType::i32);
  ops::set_sequences(ctx, d.rows.mask, target.elements() > 0 ? memory.copy(target) : ConstTensorView(), order,
                     sequence, known, count);
  ctx.synchronize();
  d.rows.sequence = sequence;
  d.rows.known = known;
  d.rows.count = count;
  Context cpu;
  const Tensor mean = Tensor::from(model.options().base.mean, {F});
  const Tensor covariance = Tensor::from(model.options().base.covariance, {F, F});
  Tensor mu({B, F}), log_sd({B, F}), gains({B, F, F}), step_sd({B, F});
  ops::base_conditionals(cpu, mean, covariance, rows.x, mask, mu, log_sd);
  auto steps = integers_of(sequence);
  const auto counts = integers_of(count);
  for (std::int64_t b = 0; b < B; ++b)  // entries behind the count are not written
    for (std::int64_t i = counts[static_cast<std::size_t>(b)]; i < F; ++i)
      steps[static_cast<std::size_t>(b * F + i)] = 0;
  ops::base_gains(cpu, covariance, Tensor::from(steps, {B, F}), Tensor::from(counts, {B}), gains, step_sd);
  d.base = {memory.copy(mu), memory.copy(step_sd), memory.copy(gains)};
  d.one_shot = {memory.copy(mu), memory.copy(log_sd), {}};
  return d;
}

}  // namespace emshap::test
