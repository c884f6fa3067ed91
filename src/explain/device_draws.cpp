#include "explain/device_draws.h"

#include "core/memory.h"
#include "layers/send.h"

namespace emshap {
namespace {

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
  there.rows.x = staged(d.staging, query.rows.x);
  if (d.model.proposal().layout().total_categories() > 0)
    there.rows.code = staged(d.staging, query.rows.code);
  there.mask = staged(d.staging, query.mask);
  const GivenNoise given{
      .draws = noise.draws, .uniforms = staged(d.staging, noise.uniforms), .order = noise.order};
  d.staging.send(d.ctx);
  d.model.draw(d.ctx, there, given, d.there);
  read(d.ctx, d.there.draws.x, out.draws.x);
  read(d.ctx, d.there.weights, out.weights);
  read(d.ctx, d.there.summary, out.summary);
}

}  // namespace emshap
