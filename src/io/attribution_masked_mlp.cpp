// The masked MLP, one position after another. What a draw adds to its first layer is kept as the state: sums
// over known and drawn features of x_t W_t and of their categories' rows. What the mask and the base's log s
// add is the same for all draws of a coalition; the base's means enter by position.
#include <fmt/format.h>

#include "emshap/models/masked_mlp.h"
#include "io/attribution_matrix.h"
#include "io/attribution_networks.h"
#include "io/emshap_graph.h"

namespace emshap::io {
namespace {

constexpr std::int64_t S = AttributionPlan::block;

class MaskedMlpSteps final : public StepNetwork {
 public:
  MaskedMlpSteps(GraphWriter& graph, const MaskedMlp& proposal, const AttributionPlan& plan)
      : StepNetwork(proposal.layout(), plan) {
    H = proposal.options().hidden;
    C = proposal.components();
    const ParameterStore& store = proposal.store();
    const GraphWriter::Scope scope(graph, "proposal");
    // Row F of the tables is that of empty positions.
    const auto input = [&](std::int64_t part, const char* name) {
      return GraphMatrix::part(store, "input.linear.weight", H, part * F, F, 0, H)
          .with_gap(F, 1)
          .write(graph, name);
    };
    x_ = input(0, "input.x");
    known_ = input(1, "input.known");
    mean_ = input(2, "input.mean");
    log_sd_ = input(3, "input.log_sd");
    bias_ = parameter(graph, store, "input.linear.bias");
    if (V > 0) {
      code_ = GraphMatrix::part(store, "input.linear.weight", H, 4 * F, V, 0, H)
                  .with_gap(0, F + 1)
                  .write(graph, "input.category");
      category = parameter(graph, store, "category.weight");
      category_bias = parameter(graph, store, "category.bias");
    }
    for (int i = 0; i < proposal.options().blocks; ++i)
      blocks_.push_back({parameter(graph, store, fmt::format("block{}.first.linear.weight", i)),
                         parameter(graph, store, fmt::format("block{}.first.linear.bias", i)),
                         parameter(graph, store, fmt::format("block{}.second.weight", i)),
                         parameter(graph, store, fmt::format("block{}.second.bias", i))});
    const GraphMatrix all = GraphMatrix::part(store, "mixture.weight", 3 * C * F, 0, H, 0, 3 * C * F);
    std::vector<float> by_feature(static_cast<std::size_t>((F + 1) * H * 3 * C), 0.f);
    for (std::int64_t t = 0; t < F; ++t)
      for (std::int64_t i = 0; i < H; ++i)
        for (std::int64_t c = 0; c < 3 * C; ++c)
          by_feature[static_cast<std::size_t>((t * H + i) * 3 * C + c)] = all(i, t * 3 * C + c);
    mixture_ = graph.constant("mixture", {F + 1, H, 3 * C}, std::span<const float>(by_feature));
    mixture_bias_ = GraphMatrix::part(store, "mixture.bias", 3 * C, 0, F, 0, 3 * C)
                        .with_gap(F, 1)
                        .write(graph, "mixture_bias");
  }

  OfBlock write_block(GraphWriter& graph, const BlockStart& start) const override {
    const GraphWriter::Scope scope(graph, "coalition");
    const auto transposed = [&](const GraphValue& value, std::vector<std::int64_t> order) {
      return graph.op("Transpose", {value}, {{"perm", std::move(order)}});
    };
    const std::int64_t Q = plan_.parts;
    const GraphValue zero = graph.constant("zero", {}, std::vector<std::int64_t>{0}),
                     one = graph.constant("one", {}, std::vector<std::int64_t>{1});
    OfBlock block;
    block.positions = graph.op("Range", {zero, graph.op("Squeeze", {start.steps, graph.integers({0})}), one},
                               {}, "positions");
    // (S, Q, n, n): 1 where the second position comes before the first; where it does not.
    const GraphValue all =
        graph.op("Concat", {graph.integers({S, Q}), start.steps, start.steps}, {{"axis", 0}});
    const GraphValue before =
        graph.op("Expand", {graph.cast(graph.op("Less", {unsqueeze(graph, block.positions, 0),
                                                         unsqueeze(graph, block.positions, 1)}),
                                       GraphType::f32),
                            all});
    const GraphValue behind = graph.op("Sub", {graph.scalar(1.f), before});
    // Variance of position j given all before i <= j: s_j^2 + sum_{i <= l < j} g_lj^2 s_l^2.
    const auto doubled = [&](const GraphValue& value) {
      return graph.op("Exp", {graph.op("Add", {value, value})});
    };
    const GraphValue gains = transposed(start.gains, {1, 2, 0, 3});  // (S, Q, l, j)
    const GraphValue own = doubled(transposed(start.log_sd, {1, 2, 0}));
    const GraphValue steps = graph.op("Mul", {graph.op("Mul", {gains, gains}), unsqueeze(graph, own, 3)});
    const GraphValue variance =
        graph.op("Add", {graph.op("MatMul", {behind, steps}), unsqueeze(graph, own, 2)});
    const GraphValue log_sd =
        graph.op("Mul", {graph.op("Mul", {graph.op("Log", {variance}), graph.scalar(.5f)}), behind});

    const GraphValue feature = transposed(start.feature, {1, 2, 0});  // (S, Q, n)
    const auto rows_of = [&](const GraphValue& table) {
      return graph.op("Gather", {table, feature}, {{"axis", 0}});
    };
    const GraphValue by_position =
        graph.op("Add", {graph.op("MatMul", {before, rows_of(known_)}),
                         graph.op("MatMul", {log_sd, rows_of(log_sd_)})});  // (S, Q, n, H)
    const GraphValue given = graph.op(
        "Gemm",
        {start.mask,
         graph.op("Slice", {known_, graph.integers({0}), graph.integers({F}), graph.integers({0})}), bias_});
    block.of_coalition =
        transposed(graph.op("Add", {by_position, reshaped(graph, given, {S, 1, 1, H})}), {2, 0, 1, 3});
    block.mean_weight = rows_of(mean_);
    return block;
  }

  GraphValue write_state(GraphWriter& graph, const BlockStart& start, std::int64_t k) const override {
    GraphValue rows_of_x = graph.op(
        "Mul", {unsqueeze(graph, start.x, 1),
                graph.op("Slice", {x_, graph.integers({0}), graph.integers({F}), graph.integers({0})})});
    if (V > 0)
      rows_of_x = graph.op(
          "Add", {rows_of_x, graph.op("Gather", {code_, write_slots(graph, start.code)}, {{"axis", 0}})});
    return for_draws(graph, graph.op("MatMul", {start.mask, rows_of_x}), k);
  }

  GraphValue write_next(GraphWriter& graph, const GraphValue& state, const Drawn& drawn,
                        const GraphValue& feature) const override {
    GraphValue added =
        graph.op("Mul", {unsqueeze(graph, drawn.x, 3),
                         unsqueeze(graph, graph.op("Gather", {x_, feature}, {{"axis", 0}}), 2)});
    if (V > 0) added = graph.op("Add", {added, graph.op("Gather", {code_, drawn.slot}, {{"axis", 0}})});
    return graph.op("Add", {state, reshaped(graph, added, {rows(plan_.part_draws()), H})});
  }

  Head write_head(GraphWriter& graph, const GraphValue& state, const OfBlock& block,
                  const Place& place) const override {
    const std::int64_t Q = plan_.parts, k = place.k;
    const GraphValue open =
        graph.cast(graph.op("GreaterOrEqual", {block.positions, place.index}), GraphType::f32);
    const GraphValue of_means =
        graph.op("MatMul", {graph.op("Mul", {place.means, open}), block.mean_weight});  // (S, Q, k, H)
    const GraphValue shared = graph.op("Add", {of_means, unsqueeze(graph, place.of_coalition, 2)});
    GraphValue h = graph.op("Relu", {graph.op("Add", {state, reshaped(graph, shared, {rows(k), H})})});
    for (const Block& b : blocks_) {
      const GraphValue inner = graph.op("Relu", {graph.op("Gemm", {h, b.first, b.first_bias})});
      h = graph.op("Add", {h, graph.op("Gemm", {inner, b.second, b.second_bias})});
    }
    Head head;
    head.u = graph.op("Relu", {h}, {}, "u");
    const GraphValue weight = graph.op("Gather", {mixture_, place.feature}, {{"axis", 0}});  // (S, Q, H, 3C)
    const GraphValue bias =
        unsqueeze(graph, graph.op("Gather", {mixture_bias_, place.feature}, {{"axis", 0}}), 2);
    head.mixture = reshaped(
        graph, graph.op("Add", {graph.op("MatMul", {reshaped(graph, head.u, {S, Q, k, H}), weight}), bias}),
        {rows(k), 3 * C});
    return head;
  }

  /// relu(h) for what is known alone: that of the first position, the same for all parts.
  GraphValue write_context(GraphWriter& graph, const BlockStart&, const Head& first) const override {
    const GraphValue parts = reshaped(graph, first.u, {S, plan_.parts, H});
    return graph.op("Squeeze",
                    {graph.op("Gather", {parts, graph.integers({0})}, {{"axis", 1}}), graph.integers({1})});
  }

 private:
  struct Block {
    GraphValue first, first_bias, second, second_bias;
  };
  GraphValue x_, known_, mean_, log_sd_, bias_;  // (F + 1, H), (H)
  GraphValue code_;                              // (F + 1 + V, H): 0 for numeric features
  std::vector<Block> blocks_;
  GraphValue mixture_, mixture_bias_;  // (F + 1, H, 3C), (F + 1, 3C)
};

}  // namespace

std::unique_ptr<StepNetwork> make_masked_mlp_steps(GraphWriter& graph, const MaskedMlp& proposal,
                                                   const AttributionPlan& plan) {
  return std::make_unique<MaskedMlpSteps>(graph, proposal, plan);
}

}  // namespace emshap::io
