#include "train/power_task.h"

#include <algorithm>
#include <cstring>

#include "core/memory.h"

namespace emshap {
namespace {

constexpr std::int64_t block_rows = 65536;      // rows of a table that are transformed at once
constexpr std::int64_t validation_tile = 1024;  // validation rows that are encoded at once

/// The rows named, each `copies` times side by side: to (rows, copies * width).
template <class T>
void gather(const Tensor& from, std::span<const std::int64_t> rows, std::int64_t copies, TensorView to) {
  const std::int64_t width = from.cols();
  const T* source = from.ptr<T>();
  T* target = to.ptr<T>();
  for (const std::int64_t row : rows)
    for (std::int64_t i = 0; i < copies; ++i, target += width)
      std::memcpy(target, source + row * width, static_cast<std::size_t>(width) * sizeof(T));
}

}  // namespace

const PiecewiseLinear* final_encoding(const Pipeline& features) {
  return features.size() == 0 ? nullptr
                              : dynamic_cast<const PiecewiseLinear*>(&features.step(features.size() - 1));
}

PowerRows power_rows(const Preprocessor& scaler, const Table& table, std::span<const std::int64_t> rows) {
  scaler.features.check_names(table.feature_names(), table.provenance().source);
  const std::size_t steps = scaler.features.size() - (final_encoding(scaler.features) != nullptr ? 1 : 0);
  const Pipeline before = scaler.features.first(steps);
  const auto count = static_cast<std::int64_t>(rows.size());
  PowerRows result{Tensor({count, before.outputs()}, DType::f64), scaler.transform_target(table, rows)};
  for (std::int64_t begin = 0; begin < count; begin += block_rows) {
    const std::int64_t n = std::min(block_rows, count - begin);
    const Tensor raw =
        raw_features(table, rows.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(n)));
    before.transform(raw, result.x.view().rows(begin, n));
  }
  return result;
}

PowerTask::PowerTask(PowerPredictor& network, PowerRows train, PowerRows validation,
                     const PiecewiseLinear* encoding, Loss loss, double huber_delta)
    : network_(network), train_(std::move(train)), loss_(loss), delta_(huber_delta) {
  if (encoding != nullptr) encoding_ = *encoding;
  validation_.x = std::move(validation.x);
  validation_.y = to_device(validation.y, network.store().device());
}

void PowerTask::encode(Member& m, const double* from, TensorView x) const {
  const double* values = from;
  if (encoding_) {
    m.encoded.ensure(x.shape(), DType::f64);
    encoding_->transform(from, x.rows(), m.encoded.ptr<double>());
    values = m.encoded.ptr<double>();
  }
  float* to = x.ptr<float>();
  for (std::int64_t i = 0; i < x.elements(); ++i) to[i] = static_cast<float>(values[i]);
}

std::vector<std::string> PowerTask::terms() const {
  if (loss_ == Loss::mse) return {to_string(loss_)};
  return {to_string(loss_), to_string(Loss::mse)};
}

void PowerTask::prepare(int members, std::int64_t largest_batch) {
  const Device device = network_.store().device();
  const std::int64_t columns = network_.options().members;
  members_ = std::vector<Member>(static_cast<std::size_t>(members));
  for (int rank = 0; rank < members; ++rank) {
    Member& m = members_[static_cast<std::size_t>(rank)];
    const std::int64_t rows = std::max(largest_batch, std::min(validation_tile, validation_rows()));
    m.gathered.ensure({largest_batch, train_.x.cols()}, DType::f64);
    m.staging.reserve(device, rows * network_.options().features * size_of(DType::f32) +
                                  largest_batch * columns * size_of(DType::f32) + 2 * Staging::alignment);
    if (encoding_) m.encoded.ensure({rows, network_.options().features}, DType::f64);
    m.prediction.ensure({largest_batch, columns}, DType::f32, device);
    m.gradient.ensure({largest_batch, columns}, DType::f32, device);
    m.terms.ensure({static_cast<std::int64_t>(terms().size())}, DType::f32, device);
  }
}

void PowerTask::losses(Context& ctx, ConstTensorView prediction, ConstTensorView target, TensorView terms,
                       TensorView gradient) const {
  ops::loss_forward(ctx, loss_, delta_, prediction, target, terms.columns(0, 1).reshaped({1}), gradient);
  if (loss_ != Loss::mse)
    ops::loss_forward(ctx, Loss::mse, delta_, prediction, target, terms.columns(1, 1).reshaped({1}),
                      TensorView());
}

void PowerTask::step(Context& ctx, const ShardPlan& plan, const StepInfo& info, TensorView terms) {
  Member& m = members_[static_cast<std::size_t>(ctx.team().rank())];
  const Device device = ctx.device();
  const std::int64_t columns =
      network_.options().members;  // each member of the network has a loss of its own
  m.staging.begin(ctx);
  const auto x = m.staging.take({plan.local_rows, network_.options().features});
  const auto y = m.staging.take({plan.local_rows, columns});
  m.gathered.ensure({plan.local_rows, train_.x.cols()}, DType::f64);
  gather<double>(train_.x, info.rows, 1, m.gathered);
  encode(m, m.gathered.ptr<double>(), x.host);
  gather<float>(train_.y, info.rows, columns, y.host);
  m.staging.send(ctx);
  m.prediction.ensure({plan.local_rows, columns}, DType::f32, device);
  m.gradient.ensure({plan.local_rows, columns}, DType::f32, device);
  m.cache.step = static_cast<std::uint64_t>(info.step);
  network_.forward_members(ctx, x.device, m.prediction, m.cache);
  losses(ctx, m.prediction, y.device, terms, m.gradient);
  network_.backward_members(ctx, m.cache, m.gradient, TensorView());
}

void PowerTask::validate(TeamPool& pool, std::span<double> terms) {
  pool.run(validation_.x.rows(), [&](Context& ctx, const ShardPlan& plan) {
    const int rank = ctx.team().rank();
    Member& m = members_[static_cast<std::size_t>(rank)];
    m.validation_prediction.ensure({plan.local_rows, 1}, DType::f32, ctx.device());
    for (std::int64_t begin = 0; begin < plan.local_rows; begin += validation_tile) {
      const std::int64_t rows = std::min(validation_tile, plan.local_rows - begin);
      m.staging.begin(ctx);
      const auto x = m.staging.take({rows, network_.options().features});
      encode(m, validation_.x.ptr<double>() + (plan.row_begin + begin) * validation_.x.cols(), x.host);
      m.staging.send(ctx);
      network_.infer(ctx, x.device, m.validation_prediction.view().rows(begin, rows));
    }
    losses(ctx, m.validation_prediction, validation_.y.view().rows(plan.row_begin, plan.local_rows), m.terms,
           TensorView());
    if (rank != 0) return;
    ctx.synchronize();
    float host[2] = {};
    copy_bytes(host, Device{}, m.terms.view().data(), ctx.device(),
               static_cast<std::int64_t>(terms.size() * sizeof(float)));
    for (std::size_t i = 0; i < terms.size(); ++i) terms[i] = host[i];
  });
}

}  // namespace emshap
