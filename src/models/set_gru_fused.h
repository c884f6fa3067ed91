#pragma once
// The set-GRU by the ops that go through all its steps in one kernel. Chunks of rows bound what the base's
// gains need; nothing is read on the host.
#include <span>

#include "models/set_gru_impl.h"

namespace emshap::set_gru {

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
