#pragma once
// The attribution graph behind its inputs: rows, blocks of coalitions, and what becomes of their values.
#include <optional>

#include "emshap/io/attribution_onnx.h"
#include "io/attribution_estimate.h"
#include "io/attribution_graph.h"

namespace emshap::io {

/// Throws ConfigError for a model whose proposal has none.
const GaussianBase& gaussian_base_of(const FittedEmshap& fitted);

/// The graph with its constants, which the constructor writes. The settings must outlive it.
class AttributionWriter {
 public:
  AttributionWriter(GraphWriter& graph, const AttributionSettings& settings, double phi0);

  struct Outputs {
    GraphValue phi, prediction, standard_error;  ///< (batch, M), (batch, 1), (batch, M)
  };
  /// From complete raw rows (batch, D).
  Outputs write(GraphWriter& graph, const GraphValue& raw) const;
  const AttributionPlan& plan() const { return plan_; }

 private:
  bool categories() const { return proposal_.layout().total_categories() > 0; }
  void write_constants(GraphWriter& graph);
  void write_row(GraphWriter& graph) const;
  /// Part of a list in the shape [extents...].
  GraphValue part(GraphWriter& graph, const GraphValue& list, const GraphValue& table,
                  AttributionPlan::Entry begin, const GraphValues& extents) const;
  void write_start(GraphWriter& graph, const GraphValue& table, const GraphValue& centred,
                   BlockStart& start) const;
  void write_block(GraphWriter& graph, const GraphValue& raw, const GraphValue& raw_mask,
                   const BlockStart& start) const;

  const AttributionSettings& settings_;
  const Proposal& proposal_;
  const AttributionPlan plan_;
  const std::int64_t F, D;
  const SamplerGraph sampler_;
  const RawGraph raw_;
  const EstimateGraph estimate_;
  std::optional<EnergyGraph> energy_;
  GraphValue table_, mask_, raw_mask_, feature_, log_sd_, gains_, known_feature_, regression_, known_, mean_,
      replicate_;
};

}  // namespace emshap::io
