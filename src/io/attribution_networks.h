#pragma once
// The engines that attribution graphs know.
#include <memory>

#include "io/attribution_graph.h"

namespace emshap {
class SetGru;
class MaskedMlp;
}  // namespace emshap

namespace emshap::io {

std::unique_ptr<StepNetwork> make_set_gru_steps(GraphWriter& graph, const SetGru& proposal,
                                                const AttributionPlan& plan);
std::unique_ptr<StepNetwork> make_masked_mlp_steps(GraphWriter& graph, const MaskedMlp& proposal,
                                                   const AttributionPlan& plan);

}  // namespace emshap::io
