#pragma once
// The power predictor as part of a graph.
#include "emshap/data/graph_writer.h"
#include "emshap/data/pipeline.h"
#include "emshap/models/power_predictor.h"

namespace emshap::io {

/// y (rows, 1) f32 in the target's unit from x (rows, F) f32 in raw units: features pipeline in float64,
/// float32 network, inverse target scaling in float64. `folded`: see fold_batch_norm. Throws ConfigError
/// where predictor and preprocessor do not fit together.
GraphValue write_power_predictor(GraphWriter& graph, const Preprocessor& preprocessor,
                                 const PowerPredictor& folded, const GraphValue& x);

}  // namespace emshap::io
