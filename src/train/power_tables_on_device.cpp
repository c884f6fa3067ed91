#include <algorithm>
#include <limits>

#include "core/memory.h"
#include "emshap/ops/activation.h"
#include "emshap/ops/elementwise.h"
#include "emshap/ops/gather.h"
#include "emshap/ops/mlp_infer.h"
#include "emshap/ops/pieces.h"
#include "layers/scratch.h"
#include "train/power_tables.h"

namespace emshap {
namespace {

/// Rows whose lines and sums lie on the device at once.
constexpr std::int64_t device_tile_rows = std::int64_t{1} << 16;

struct DeviceMember {
  Tensor table, base;
  std::vector<Tensor> weight, bias;  // of the layers after the first
  std::vector<ops::MlpLayer> layers;
};

class DevicePowerTables final : public Predictor {
 public:
  std::int64_t inputs() const override { return inputs_; }

  // Every op's result for a row is independent of the rows beside it: no products by cuBLAS.
  void predict(Context& ctx, ConstTensorView raw, TensorView y) const override {
    const std::int64_t n = raw.rows(), F = column.cols(), M = static_cast<std::int64_t>(members.size());
    if (n == 0) return;
    const Workspace::Scope scope(ctx.workspace());
    const std::int64_t most = std::min(n, device_tile_rows);
    std::int64_t H = 1;
    for (const DeviceMember& m : members) H = std::max(H, m.base.cols());
    const TensorView index = scratch(ctx, {most, F}, DType::i32),
                     factor = scratch(ctx, {most, F}, DType::f32),
                     sums = scratch(ctx, {most * H}, DType::f32), each = scratch(ctx, {most, M}, DType::f32);
    const ops::Pieces pieces{first, begin, origin, low, high};
    for (std::int64_t r = 0; r < n; r += most) {
      const std::int64_t rows = std::min(most, n - r);
      const TensorView k = index.rows(0, rows), f = factor.rows(0, rows), out = each.rows(0, rows);
      ops::find_pieces(ctx, pieces, column, raw.rows(r, rows), k, f);
      for (std::int64_t m = 0; m < M; ++m) {
        const DeviceMember& member = members[static_cast<std::size_t>(m)];
        const std::int64_t width = member.base.cols();
        const TensorView x = sums.columns(0, rows * width).reshaped({rows, width});
        const bool relu = activation == Activation::relu;
        ops::sum_table_lines(ctx, member.table, k, f, member.base, relu ? activation : Activation::identity,
                             x);
        if (!relu) ops::activation_forward(ctx, activation, x, x);
        ops::mlp_infer(ctx, member.layers, activation, x, out.columns(m, 1));
        if (m > 0) ops::add(ctx, out.columns(0, 1), out.columns(m, 1), out.columns(0, 1));
      }
      ops::affine(ctx, out.columns(0, 1), scale / static_cast<double>(M), shift, y.rows(r, rows));
    }
  }

  std::int64_t inputs_ = 0;
  Tensor column, first, begin, origin, low, high;
  std::vector<DeviceMember> members;
  Activation activation = Activation::relu;
  double scale = 1, shift = 0;
};

}  // namespace

std::unique_ptr<Predictor> PowerTables::on_device(Device device, std::span<const std::int64_t> from,
                                                  std::int64_t inputs) const {
  const auto sent = [&](const auto& values) {
    return to_device(Tensor::from(values, {static_cast<std::int64_t>(values.size())}), device);
  };
  constexpr float most = std::numeric_limits<float>::max();
  const std::size_t features = column_.size();
  std::vector<std::int32_t> column;
  std::vector<float> begin;
  for (std::size_t t = 0; t < features; ++t) {
    column.push_back(static_cast<std::int32_t>(from[static_cast<std::size_t>(column_[t])]));
    begin.push_back(-std::numeric_limits<float>::infinity());
    begin.insert(begin.end(), at_.begin() + knots_[t], at_.begin() + knots_[t + 1]);
  }
  auto out = std::make_unique<DevicePowerTables>();
  out->inputs_ = inputs;
  out->column = sent(column);
  out->first = sent(first_);
  out->begin = sent(begin);
  out->origin = sent(origin_);
  out->low = sent(low_.empty() ? std::vector<float>(features, -most) : low_);
  out->high = sent(high_.empty() ? std::vector<float>(features, most) : high_);
  out->activation = activation_;
  out->scale = scale_;
  out->shift = shift_;
  for (const Member& m : members_) {
    DeviceMember& member = out->members.emplace_back();
    member.table = to_device(m.table, device);
    member.base = to_device(m.base, device);
    for (const Layer& l : m.layers) {
      member.weight.push_back(to_device(l.weight, device));
      member.bias.push_back(to_device(l.bias, device));
    }
    for (std::size_t l = 0; l < m.layers.size(); ++l)
      member.layers.push_back({member.weight[l], member.bias[l]});
  }
  return out;
}

}  // namespace emshap
