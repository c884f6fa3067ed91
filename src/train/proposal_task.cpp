#include "train/proposal_task.h"

#include <cstring>

#include "emshap/layers/parameter_store.h"

namespace emshap {

void DequantisedRows::reserve(const FeatureSpace& space, std::int64_t rows) {
  raw_.ensure({rows, space.inputs()}, DType::f32);
  x_.ensure({rows, space.features()}, DType::f32);
  observed_.ensure({rows, space.features()}, DType::f32);
  code_.ensure({rows, space.features()}, DType::i32);
}

void DequantisedRows::fill(const FeatureSpace& space, const Tensor& raw, std::span<const std::int64_t> rows,
                           const RandomKey& key) {
  const auto count = static_cast<std::int64_t>(rows.size());
  const std::int64_t inputs = raw.cols();
  reserve(space, count);
  for (std::int64_t i = 0; i < count; ++i)
    std::memcpy(raw_.ptr<float>() + i * inputs, raw.ptr<float>() + rows[static_cast<std::size_t>(i)] * inputs,
                static_cast<std::size_t>(inputs) * sizeof(float));
  space.to_model_dequantised(raw_, key, rows, x_, observed_, code_);
}

ProposalTask::ProposalTask(TrainableProposal& proposal, const FeatureSpace& space, const Tensor& raw,
                           const HeldOutPairs& held_out, const MaskingOptions& masking, EmshapStream stream)
    : proposal_(proposal), space_(space), raw_(raw), held_out_(held_out), masking_(masking), stream_(stream) {
  // Not by the members of a team: lgamma writes to a global variable.
  if (masking.kind != Masking::linear && masking.kind != Masking::progressive)
    sizes_ = size_weights(masking, 0, 1, space.features());
}

void ProposalTask::prepare(int members, std::int64_t largest_batch) {
  members_ = std::vector<Member>(static_cast<std::size_t>(members));
  for (Member& m : members_) m.batch.reserve(space_, largest_batch);
  proposal_.prepare(members, largest_batch);
}

void ProposalTask::step(Context& ctx, const ShardPlan& plan, const StepInfo& info, TensorView terms) {
  Member& m = members_[static_cast<std::size_t>(ctx.team().rank())];
  m.batch.fill(space_, raw_, info.rows, emshap_key(info.seed, RandomPurpose::dequantise, stream_, info.step));
  if (sizes_.empty()) m.sizes = size_weights(masking_, info.step, info.total_steps, space_.features());
  proposal_.train(ctx, plan, {.rows = m.batch.rows(), .observed = m.batch.observed()},
                  sizes_.empty() ? m.sizes : sizes_,
                  emshap_key(info.seed, RandomPurpose::masking, stream_, info.step), terms);
}

void ProposalTask::validate(TeamPool& pool, std::span<double> terms) {
  if (copy_ == nullptr && pool.device().kind != DeviceKind::cpu) {
    terms[0] = there_.loss(proposal_, held_out_, pool.main());
    return;
  }
  if (copy_ == nullptr) {
    terms[0] = held_out_loss(proposal_, held_out_, pool, contexts_);
    return;
  }
  pool.main().synchronize();
  copy_->store().copy_from(proposal_.store());
  terms[0] = held_out_loss(*copy_, held_out_, *copy_pool_, contexts_);
}

}  // namespace emshap
