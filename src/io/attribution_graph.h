#pragma once
// Parts of the attribution graph. S coalitions of a block, Q parts of the draws (an order each) with K_q
// draws, R = S Q K_q rows, F features and feature number F for empty positions, H hidden units, C components,
// V categories.
#include <memory>
#include <vector>

#include "emshap/data/feature_space.h"
#include "emshap/data/graph_writer.h"
#include "emshap/models/energy_network.h"
#include "emshap/models/proposal.h"
#include "io/attribution_plan.h"

namespace emshap::io {

/// What a block of coalitions starts from.
struct BlockStart {
  GraphValue context;  ///< (S, H) f32: where the network scans known features for all coalitions at once
  GraphValue x, code;  ///< (F) f32 and i64, the row in model space; code unset without categorical features
  GraphValue mask;     ///< (S, F) f32
  GraphValue steps;    ///< (1) i64: n
  GraphValue feature;  ///< (n, S, Q) i64
  GraphValue log_sd;   ///< (n, S, Q) f32
  GraphValue gains;    ///< (n, S, Q, n) f32
  GraphValue mean;     ///< (S, Q, 1, n) f32: of the base given the known features, by position
};

/// Draws of one position.
struct Drawn {
  GraphValue x;     ///< (S, Q, K_q)
  GraphValue slot;  ///< (S, Q, K_q) i64: t of a numeric feature, F + 1 + its number among the categories of
                    ///< all features of a categorical one; unset without categorical features
};

/// The proposal network that draws go through, one position of their sequences after another: what differs
/// between engines. Its constants are written once, into the main graph.
class StepNetwork {
 public:
  /// What a block's positions share.
  struct OfBlock {
    GraphValue of_coalition;            ///< (n, S, Q, H): part of the first layer that no draw changes
    GraphValue mean_weight, positions;  ///< the engine's own
  };
  struct Place {
    GraphValue means;         ///< (S, Q, k, n): of the base, by position
    GraphValue mean;          ///< (S, Q, k): of this position
    GraphValue feature;       ///< (S, Q)
    GraphValue of_coalition;  ///< (S, Q, H)
    GraphValue index;         ///< (1) i64: the position's number
    std::int64_t k = 1;       ///< 1 or K_q
  };
  struct Head {
    GraphValue u;        ///< (S Q k, H)
    GraphValue mixture;  ///< (S Q k, 3C)
  };
  StepNetwork(const FeatureLayout& layout, const AttributionPlan& plan);
  virtual ~StepNetwork();
  StepNetwork(const StepNetwork&) = delete;
  StepNetwork& operator=(const StepNetwork&) = delete;

  /// Of all coalitions before any block, from x (F) f32, code (F) i64 and known (F, rows, 1) boolean:
  /// (rows, H), or unset where the engine has no use for it.
  virtual GraphValue write_contexts(GraphWriter& graph, const GraphValue& x, const GraphValue& code,
                                    const GraphValue& known, std::int64_t rows) const;
  virtual OfBlock write_block(GraphWriter& graph, const BlockStart& start) const = 0;
  /// (S Q k, H): the state before any draw.
  virtual GraphValue write_state(GraphWriter& graph, const BlockStart& start, std::int64_t k) const = 0;
  /// (S Q K_q, H): the state with one more feature (S, Q).
  virtual GraphValue write_next(GraphWriter& graph, const GraphValue& state, const Drawn& drawn,
                                const GraphValue& feature) const = 0;
  virtual Head write_head(GraphWriter& graph, const GraphValue& state, const OfBlock& block,
                          const Place& place) const = 0;
  /// (S, H), for the energy, from the head of the first position.
  virtual GraphValue write_context(GraphWriter& graph, const BlockStart& start, const Head& first) const = 0;

  std::int64_t width() const { return H; }
  std::int64_t components() const { return C; }
  GraphValue category, category_bias;  ///< (H, V), (V); unset without categorical features

 protected:
  std::int64_t rows(std::int64_t k) const { return AttributionPlan::block * plan_.parts * k; }
  /// The slots of the row itself: (F) i64.
  GraphValue write_slots(GraphWriter& graph, const GraphValue& code) const;
  /// (S, n) to (S Q k, n).
  GraphValue for_draws(GraphWriter& graph, const GraphValue& of_coalition, std::int64_t k) const;

  const AttributionPlan& plan_;
  std::int64_t F, V, H = 0, C = 0;
  std::vector<std::int64_t> slot_;  ///< (F): slot of a feature, or of its first category
};
/// Throws ConfigError for a proposal that has no such form.
std::unique_ptr<StepNetwork> make_step_network(GraphWriter& graph, const Proposal& proposal,
                                               const AttributionPlan& plan);

/// Autoregressive draws of a block.
class SamplerGraph {
 public:
  SamplerGraph(GraphWriter& graph, const Proposal& proposal, const AttributionPlan& plan);
  const StepNetwork& network() const { return *network_; }

  struct Result {
    GraphValue drawn;    ///< (S, Q, K_q, n) f32: by position
    GraphValue context;  ///< (S, H)
  };
  Result write_draws(GraphWriter& graph, const BlockStart& start) const;

 private:
  Drawn write_value(GraphWriter& graph, const StepNetwork::Head& head, const StepNetwork::Place& place,
                    const GraphValue& log_sd) const;
  void write_category(GraphWriter& graph, const GraphValue& u, const GraphValue& feature,
                      const GraphValue& uniform, std::int64_t k, Drawn& drawn) const;
  /// (S, Q, K_q) in units of the base: quantiles of the mixtures out (S Q k, 3 C).
  GraphValue write_quantile(GraphWriter& graph, const GraphValue& out, const GraphValue& uniform,
                            const GraphValue& score, std::int64_t k) const;
  std::int64_t rows(std::int64_t k) const { return AttributionPlan::block * plan_.parts * k; }

  const AttributionPlan& plan_;
  const std::unique_ptr<StepNetwork> network_;
  const std::int64_t F, V, H, C;
  struct {
    GraphValue uniform, score;  ///< noise (Q (F + 1), K_q)
    GraphValue part;            ///< (Q) i64: where a part's noise begins
    GraphValue allowed, base, values, is_category, all_before, ones;
  } w_;
};

/// (rows, D) f32 raw values from model space z (rows, F) f32: inverse transform, widened range, grid and
/// categories as FeatureSpace::to_raw; constant columns 0.
class RawGraph {
 public:
  RawGraph(GraphWriter& graph, const FeatureSpace& space);
  GraphValue write(GraphWriter& graph, const GraphValue& z) const;

 private:
  /// Sorted lists, one a column, for a binary search.
  struct Search {
    GraphValue table;                   ///< flat, padded to a power of two a column
    std::vector<std::int64_t> offsets;  ///< where each column's list begins
    std::int64_t length = 1;
  };
  Search make_search(GraphWriter& graph, const std::string& name,
                     const std::vector<std::vector<double>>& lists) const;
  /// offset + number of the list's entries that are <= z (or < z with `below`), (rows, columns) i64.
  static GraphValue write_search(GraphWriter& graph, const Search& search, const GraphValue& z, bool below);

  const FeatureSpace& space_;
  GraphValue mean_, scale_;       ///< standardise
  Search lines_;                  ///< quantile
  GraphValue from_, to_, slope_;  ///< by line
  GraphValue low_, high_;         ///< (F) f64
  Search grid_;                   ///< midpoints of the tied and categorical columns
  GraphValue grid_values_;
  std::vector<std::int64_t> grid_columns_, order_;
};

/// The energy's weights of completions.
class EnergyGraph {
 public:
  EnergyGraph(GraphWriter& graph, const EnergyNetwork& energy);
  /// g (S K, 1) f32 from x (S K, F), mask (S, F), context (S, H), all f32.
  GraphValue write(GraphWriter& graph, const GraphValue& x, const GraphValue& mask, const GraphValue& context,
                   std::int64_t conditions, std::int64_t draws) const;

 private:
  struct Layer {
    GraphValue weight, bias;
  };
  const EnergyNetwork& energy_;
  Layer completion_, condition_, output_;
  std::vector<Layer> layers_;
};

/// `value` in another shape; -1: what is left.
GraphValue reshaped(GraphWriter& graph, const GraphValue& value, const std::vector<std::int64_t>& shape);

}  // namespace emshap::io
