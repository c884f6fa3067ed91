#include "explain/device_draws.h"

#include <array>

#include "core/memory.h"
#include "emshap/ops/pieces.h"
#include "layers/send.h"

namespace emshap {
namespace {

void read(Context& ctx, const ConstTensorView& there, Tensor& here) {
  here.ensure(there.shape(), there.dtype());
  read_bytes(ctx, here.view().data(), there.data(), there.elements() * size_of(there.dtype()));
}

}  // namespace

struct DeviceDraws::Impl {
  explicit Impl(const EmshapModel& m) : model(m), ctx(m.proposal().device()) {}
  const EmshapModel& model;
  Context ctx;
  Staging staging;
  ModelQuery query;
  WeightedDraws there;

  /// The query of the device and what `more` takes from the staging, sent; then the draws.
  template <class More>
  void make(const ModelQuery& here, const GivenNoise& noise, const More& more) {
    staging.begin(ctx);
    query = {};
    query.rows.x = staged(staging, here.rows.x);
    if (model.proposal().layout().total_categories() > 0) query.rows.code = staged(staging, here.rows.code);
    query.mask = staged(staging, here.mask);
    const GivenNoise given{
        .draws = noise.draws, .uniforms = staged(staging, noise.uniforms), .order = noise.order};
    more();
    staging.send(ctx);
    model.draw(ctx, query, given, there);
  }
};

DeviceDraws::DeviceDraws(const EmshapModel& model) : impl_(std::make_unique<Impl>(model)) {}
DeviceDraws::~DeviceDraws() = default;

void DeviceDraws::draw(const ModelQuery& query, const GivenNoise& noise, WeightedDraws& out) {
  Impl& d = *impl_;
  d.make(query, noise, [] {});
  read(d.ctx, d.there.draws.x, out.draws.x);
  read(d.ctx, d.there.weights, out.weights);
  read(d.ctx, d.there.summary, out.summary);
}

void DeviceDraws::predict(const ModelQuery& query, const GivenNoise& noise, ConstTensorView raw,
                          const DeviceDrawMap& map, const Predictor& f, DevicePredictions& out) {
  Impl& d = *impl_;
  ConstTensorView given;
  d.make(query, noise, [&] { given = staged(d.staging, raw); });
  const Workspace::Scope scope(d.ctx.workspace());
  const std::int64_t n = raw.rows() * noise.draws;
  const TensorView rows = scratch(d.ctx, {n, raw.cols()}, DType::f32), y = scratch(d.ctx, {n, 1}, DType::f32),
                   counts = scratch(d.ctx, {2}, DType::i32);
  ops::complete_rows(d.ctx, map.pieces(), map.lines(), map.feature(), d.there.draws.x, d.query.mask, given,
                     rows, counts);
  f.predict(d.ctx, rows, y);
  read(d.ctx, y, out.y);
  read(d.ctx, d.there.weights, out.weights);
  std::array<std::int32_t, 2> count{};
  read_bytes(d.ctx, count.data(), counts.data(), sizeof count);
  out.clamped = count[0];
  out.not_numbers = count[1];
}

}  // namespace emshap
