#include "train/power_task.h"

#include <cstring>

#include "core/memory.h"

namespace emshap {
namespace {

/// Moves a float32 CPU tensor to `device`.
Tensor moved(Tensor t, Device device) {
  if (device.kind == DeviceKind::cpu) return t;
  Tensor out(t.shape(), t.dtype(), device);
  copy_bytes(out.view().data(), device, t.view().data(), Device{}, t.elements() * size_of(t.dtype()));
  return out;
}

/// to (rows, copies * width): the rows named, each `copies` times side by side.
void gather(const Tensor& from, std::span<const std::int64_t> rows, std::int64_t copies, Tensor& to) {
  const std::int64_t width = from.cols();
  to.ensure({static_cast<std::int64_t>(rows.size()), copies * width}, DType::f32);
  const float* source = from.ptr<float>();
  float* target = to.ptr<float>();
  for (const std::int64_t row : rows) {
    for (std::int64_t i = 0; i < copies; ++i, target += width)
      std::memcpy(target, source + row * width, static_cast<std::size_t>(width) * sizeof(float));
  }
}

void gather_to(Device device, const Tensor& from, std::span<const std::int64_t> rows, std::int64_t copies,
               Tensor& staging, Tensor& to) {
  if (device.kind == DeviceKind::cpu) return gather(from, rows, copies, to);
  gather(from, rows, copies, staging);
  to.ensure(staging.shape(), DType::f32, device);
  copy_bytes(to.view().data(), device, staging.view().data(), Device{},
             staging.elements() * size_of(DType::f32));
}

}  // namespace

PowerTask::PowerTask(PowerPredictor& network, PowerRows train, PowerRows validation, Loss loss,
                     double huber_delta)
    : network_(network), train_(std::move(train)), loss_(loss), delta_(huber_delta) {
  const Device device = network.store().device();
  validation_.x = moved(std::move(validation.x), device);
  validation_.y = moved(std::move(validation.y), device);
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
    m.x.ensure({largest_batch, train_.x.cols()}, DType::f32, device);
    m.y.ensure({largest_batch, columns}, DType::f32, device);
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
  gather_to(device, train_.x, info.rows, 1, m.host_x, m.x);
  gather_to(device, train_.y, info.rows, columns, m.host_y, m.y);
  m.prediction.ensure({plan.local_rows, columns}, DType::f32, device);
  m.gradient.ensure({plan.local_rows, columns}, DType::f32, device);
  m.cache.step = static_cast<std::uint64_t>(info.step);
  network_.forward_members(ctx, m.x, m.prediction, m.cache);
  losses(ctx, m.prediction, m.y, terms, m.gradient);
  network_.backward_members(ctx, m.cache, m.gradient, TensorView());
}

void PowerTask::validate(TeamPool& pool, std::span<double> terms) {
  pool.run(validation_.x.rows(), [&](Context& ctx, const ShardPlan& plan) {
    const int rank = ctx.team().rank();
    Member& m = members_[static_cast<std::size_t>(rank)];
    m.validation_prediction.ensure({plan.local_rows, 1}, DType::f32, ctx.device());
    network_.infer(ctx, validation_.x.view().rows(plan.row_begin, plan.local_rows), m.validation_prediction);
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
