#pragma once
// The set-GRU by the ops that go through all its steps in one kernel. Chunks of rows bound what the base's
// gains need; nothing is read on the host.
#include <algorithm>
#include <span>

#include "emshap/ops/set_gru_sampler.h"
#include "models/set_gru_impl.h"

namespace emshap::set_gru {

/// One call's weights, and rows by chunks, in the context's workspace.
class Fused {
 public:
  /// `gains`: whether values are taken in after x_S.
  Fused(Context& ctx, const SetGruOptions& options, const ParameterStore& store, const SetGru::Impl& impl,
        const FeatureRows& rows, ConstTensorView mask, bool gains);

  std::int64_t rows_of_chunk() const { return most_; }
  /// Rows [begin, begin + count): their sequences, context (count, H) and base. `target` (B, F) or empty.
  void begin(std::int64_t begin, std::int64_t count, ConstTensorView target,
             std::span<const std::int64_t> order, TensorView context);
  const ops::SetGruWeights& weights() const { return weights_; }
  const ops::SetGruRows& rows() const { return chunk_; }
  const ops::SetGruBase& base() const { return base_; }

 private:
  Context& ctx_;
  const SetGru::Impl& impl_;
  const FeatureRows& rows_;
  const ConstTensorView mask_;
  const std::int64_t F_, most_;
  ops::SetGruWeights weights_;
  ops::SetGruRows chunk_;
  ops::SetGruBase base_;
  TensorView sequence_, known_, count_, mu_, given_sd_, gains_, step_sd_;
};

void fused_draw(Context& ctx, const SetGru& model, const SetGru::Impl& impl, const FeatureRows& rows,
                ConstTensorView mask, std::int64_t draws, ConstTensorView noise, DrawMode mode, Draws& out,
                ConstTensorView target, std::span<const std::int64_t> order);
void fused_sequential(Context& ctx, const SetGru& model, const SetGru::Impl& impl, const FeatureRows& rows,
                      ConstTensorView mask, ConstTensorView target, Conditionals& out);
void fused_conditionals(Context& ctx, const SetGru& model, const SetGru::Impl& impl, const FeatureRows& rows,
                        ConstTensorView mask, Conditionals& out);
void fused_log_density(Context& ctx, const SetGru& model, const SetGru::Impl& impl, const FeatureRows& rows,
                       ConstTensorView mask, ConstTensorView target, TensorView out);

}  // namespace emshap::set_gru
