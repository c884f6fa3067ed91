#pragma once
// Parts of the attribution graph. S coalitions of a block, Q parts of the draws (an order each) with K_q
// draws, R = S Q K_q rows, F features and feature number F for empty positions, E embedding, H hidden units.
#include <vector>

#include "emshap/data/feature_space.h"
#include "emshap/data/graph_writer.h"
#include "emshap/models/energy_network.h"
#include "emshap/models/set_gru.h"
#include "io/attribution_plan.h"

namespace emshap::io {

/// What a block of coalitions starts from.
struct BlockStart {
  GraphValue context;  ///< (S, H) f32
  GraphValue steps;    ///< (1) i64: n
  GraphValue feature;  ///< (n, S, Q) i64
  GraphValue log_sd;   ///< (n, S, Q) f32
  GraphValue gains;    ///< (n, S, Q, n) f32
  GraphValue mean;     ///< (S, Q, 1, n) f32: of the base given the known features, by position
};

/// The set-GRU's draws. Its constants are written once, into the main graph.
class SamplerGraph {
 public:
  SamplerGraph(GraphWriter& graph, const SetGru& proposal, const AttributionPlan& plan);

  /// h_S (rows, H) of all coalitions: x (F) f32, code (F) i64 (unset without categorical features), known
  /// (F, rows, 1) boolean.
  GraphValue write_contexts(GraphWriter& graph, const GraphValue& x, const GraphValue& code,
                            const GraphValue& known, std::int64_t rows) const;
  /// (S, Q, K_q, n) f32: what is drawn, by position.
  GraphValue write_draws(GraphWriter& graph, const BlockStart& start) const;

 private:
  struct Drawn {
    GraphValue x;     ///< (S, Q, K_q)
    GraphValue slot;  ///< (S, Q, K_q) i64: row of the shifts; unset without categorical features
  };
  GraphValue write_gru(GraphWriter& graph, const GraphValue& token, const GraphValue& h) const;
  /// One value for each draw: h (S Q k, H), mean (S, Q, k), feature (S, Q), log_sd (S, Q); k is 1 or K_q.
  Drawn write_value(GraphWriter& graph, const GraphValue& h, const GraphValue& mean,
                    const GraphValue& feature, const GraphValue& log_sd, std::int64_t k) const;
  void write_category(GraphWriter& graph, const GraphValue& u, const GraphValue& feature,
                      const GraphValue& uniform, std::int64_t k, Drawn& drawn) const;
  GraphValue write_tokens(GraphWriter& graph, const Drawn& drawn, const GraphValue& feature) const;
  std::int64_t rows(std::int64_t k) const { return AttributionPlan::block * plan_.parts * k; }

  const AttributionPlan& plan_;
  std::int64_t F, H, E, C, V;
  struct {
    GraphValue scale, shift, start;                            ///< tokens (F + 1, E), (1 + F + V, E); (1, H)
    GraphValue reset, reset_bias, update, update_bias;         ///< (E + H, H), (H)
    GraphValue input, input_bias, state, state_bias;           ///< of the candidate: (E, H), (H, H)
    GraphValue first, log_sd, feature, hidden, mixture, bias;  ///< head; first (H + 1, H): of h and the mean
    GraphValue cumulate;                                       ///< (C, C - 1)
    GraphValue component, score;                               ///< noise (Q (F + 1), K_q)
    GraphValue part;                                           ///< (Q) i64: where a part's noise begins
    GraphValue category, category_bias, allowed, base, values, is_category, all_before, ones;
  } w_;
  std::vector<std::int64_t> slot_;  ///< (F): row of the shifts of a feature, or of its first category
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
