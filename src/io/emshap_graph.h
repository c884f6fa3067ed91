#pragma once
// Parts of the EmSHAP model as nodes of a graph. B rows, F features of the model, E embedding, H context, C
// components, V categories.
#include <string>
#include <vector>

#include "emshap/data/feature_space.h"
#include "emshap/data/graph_writer.h"
#include "emshap/data/steps.h"
#include "emshap/layers/parameter_store.h"
#include "emshap/models/feature_layout.h"
#include "emshap/models/gaussian_base.h"

namespace emshap {
class SetGru;
class MaskedMlp;
}  // namespace emshap

namespace emshap::io {

/// What a proposal's graph starts from; all in model space, entries of unknown features 0.
struct KnownValues {
  GraphValue x;      ///< (B, F) f32
  GraphValue x64;    ///< (B, F) f64
  GraphValue known;  ///< (B, F) boolean
  GraphValue known32, known64;
  GraphValue code;        ///< (B, F) i64, 0 for numeric features; unset without categorical features
  GraphValue mu, log_sd;  ///< (B, F) f32: moments of the Gaussian base given the known values
};

/// What a proposal network gives for all features at once, known ones included.
struct ProposalHeads {
  GraphValue context;                  ///< (B, H)
  GraphValue mixture;                  ///< (B, F, 3C): l, a, r of models/set_gru.h
  std::vector<GraphValue> log_shares;  ///< for each categorical feature, ascending: (B, V_t) log-softmax
};

/// Fills in mu and log_sd: F unrolled conditioning steps in float64.
void write_gaussian_base(GraphWriter& graph, const GaussianBase& base, KnownValues& values);
ProposalHeads write_set_gru(GraphWriter& graph, const SetGru& proposal, const KnownValues& values);
ProposalHeads write_masked_mlp(GraphWriter& graph, const MaskedMlp& proposal, const KnownValues& values);

/// A float32 parameter under its own name.
GraphValue parameter(GraphWriter& graph, const ParameterStore& store, const std::string& name);
/// A float64 list under `name`.
GraphValue list(GraphWriter& graph, const std::string& name, const std::vector<double>& values);
/// (B, 1, ...) of `value`'s rows: shape [B, extents...] as a list of integers.
GraphValue shape_with_rows_of(GraphWriter& graph, const GraphValue& value,
                              const std::vector<std::int64_t>& extents);
GraphValue unsqueeze(GraphWriter& graph, const GraphValue& value, std::int64_t axis);
/// Column t of (B, n), kept as (B, 1).
GraphValue column(GraphWriter& graph, const GraphValue& value, std::int64_t t);
/// The columns of all parts (B, n_i), counted through, in this order.
GraphValue columns_in_order(GraphWriter& graph, const GraphValues& parts,
                            const std::vector<std::int64_t>& order);

/// The step that leaves out constant columns. Throws ConfigError when the space has none.
const DropConstant& dropped_columns(const FeatureSpace& space);
/// (B, F) i64, 0 for numeric features: the nearest category of raw (B, inputs) f32; the space has categories.
GraphValue write_codes(GraphWriter& graph, const FeatureSpace& space, const GraphValue& raw);
/// (B, inputs) f32 from model (B, F): inverse transform, constant columns at their training value. Throws
/// ConfigError for a step without an inverse here.
GraphValue write_to_raw(GraphWriter& graph, const FeatureSpace& space, const GraphValue& model);

}  // namespace emshap::io
