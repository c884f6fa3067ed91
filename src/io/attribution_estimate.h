#pragma once
// From values of coalitions to phi and its standard error, as ShapleySolver does it. Coalitions stand in the
// order of the plan; CP = plan.rows().
#include "emshap/data/graph_writer.h"
#include "emshap/explain/coalitions.h"
#include "emshap/explain/shapley_solver.h"
#include "io/attribution_plan.h"

namespace emshap::io {

class EstimateGraph {
 public:
  EstimateGraph(GraphWriter& graph, const Coalitions& coalitions, const AttributionPlan& plan, double phi0);

  struct Result {
    GraphValue phi, standard_error;  ///< (M) f32
  };
  /// v (CP) f64, deviation (CP, G) f64: what each replicate adds to v's error.
  Result write(GraphWriter& graph, const GraphValue& v, const GraphValue& deviation) const;

 private:
  void make_pairs(GraphWriter& graph, const Coalitions& coalitions, const ShapleySolver& solver,
                  const std::vector<std::int64_t>& place);
  void make_orders(GraphWriter& graph, const Coalitions& coalitions, const std::vector<std::int64_t>& place);
  GraphValue write_pair_variance(GraphWriter& graph, const GraphValue& gained, const GraphValue& phi) const;
  GraphValue write_order_variance(GraphWriter& graph, const GraphValue& gained, const GraphValue& phi) const;

  const AttributionPlan& plan_;
  std::int64_t players_ = 0, pairs_ = 0;  ///< M; pairs that the sampling variance sums over
  std::int64_t terms_ = 0;                ///< of sizes
  bool noise_ = false;                    ///< some value is drawn
  GraphValue matrix_, phi0_;              ///< (M, CP), ()
  GraphValue first_, second_, first_matrix_, second_matrix_, first_member_, second_member_, factor_;
  GraphValue size_share_, size_sign_;  ///< (terms, pairs), (pairs, terms)
  GraphValue before_, after_, order_scale_;
};

}  // namespace emshap::io
