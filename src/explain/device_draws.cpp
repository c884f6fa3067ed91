#include "explain/device_draws.h"

#include <cstring>

#include "core/memory.h"
#include "core/staging.h"

namespace emshap {
namespace {

/// A copy of a host matrix on its way to the device.
ConstTensorView sent(Staging& staging, ConstTensorView host) {
  if (host.elements() == 0) return {};
  const Staging::Values to = staging.take({host.rows(), host.cols()}, host.dtype());
  const std::int64_t bytes = host.cols() * size_of(host.dtype());
  for (std::int64_t r = 0; r < host.rows(); ++r)
    std::memcpy(static_cast<char*>(to.host.data()) + r * bytes,
                static_cast<const char*>(host.data()) + r * host.row_stride() * size_of(host.dtype()),
                static_cast<std::size_t>(bytes));
  return to.device;
}

void read(Context& ctx, const Tensor& there, Tensor& here) {
  here.ensure(there.shape(), there.dtype());
  read_bytes(ctx, here.view().data(), there.view().data(), there.elements() * size_of(there.dtype()));
}

}  // namespace

struct DeviceDraws::Impl {
  explicit Impl(const EmshapModel& m) : model(m), ctx(m.proposal().device()) {}
  const EmshapModel& model;
  Context ctx;
  Staging staging;
  WeightedDraws there;
};

DeviceDraws::DeviceDraws(const EmshapModel& model) : impl_(std::make_unique<Impl>(model)) {}
DeviceDraws::~DeviceDraws() = default;

void DeviceDraws::draw(const ModelQuery& query, const GivenNoise& noise, WeightedDraws& out) {
  Impl& d = *impl_;
  d.staging.begin(d.ctx);
  ModelQuery there;
  there.rows.x = sent(d.staging, query.rows.x);
  if (d.model.proposal().layout().total_categories() > 0) there.rows.code = sent(d.staging, query.rows.code);
  there.mask = sent(d.staging, query.mask);
  const GivenNoise given{
      .draws = noise.draws, .uniforms = sent(d.staging, noise.uniforms), .order = noise.order};
  d.staging.send(d.ctx);
  d.model.draw(d.ctx, there, given, d.there);
  read(d.ctx, d.there.draws.x, out.draws.x);
  read(d.ctx, d.there.weights, out.weights);
  read(d.ctx, d.there.summary, out.summary);
}

}  // namespace emshap
