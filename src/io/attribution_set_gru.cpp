// The set-GRU, one position after another. Its state is h_A; known features are taken in for all coalitions
// of a row at once, which is little work beside the draws.
#include "emshap/models/set_gru.h"
#include "io/attribution_matrix.h"
#include "io/attribution_networks.h"
#include "io/emshap_graph.h"

namespace emshap::io {
namespace {

constexpr std::int64_t S = AttributionPlan::block;

class SetGruSteps final : public StepNetwork {
 public:
  SetGruSteps(GraphWriter& graph, const SetGru& proposal, const AttributionPlan& plan)
      : StepNetwork(proposal.layout(), plan), E(proposal.options().embedding) {
    H = proposal.options().hidden;
    C = proposal.components();
    const ParameterStore& store = proposal.store();
    const auto whole = [&](const char* name, std::int64_t rows, std::int64_t width) {
      return GraphMatrix::part(store, name, width, 0, rows, 0, width);
    };
    const GraphWriter::Scope scope(graph, "proposal");
    // Row F of the tables is that of empty positions.
    scale_ = whole("token.scale", F, E).with_gap(F, 1).write(graph, "token.scale");
    shift_ = whole("token.shift", F + V, E).with_gap(F, 1).write(graph, "token.shift");
    start_ = whole("start", 1, H).write(graph, "start");
    const auto gate = [&](std::int64_t g, const char* name) {
      return GraphMatrix::stacked(GraphMatrix::part(store, "gru.weight_ih", 3 * H, 0, E, g * H, H),
                                  GraphMatrix::part(store, "gru.weight_hh", 3 * H, 0, H, g * H, H))
          .write(graph, name);
    };
    const std::vector<double> bias_ih = store.get(store.find("gru.bias_ih")),
                              bias_hh = store.get(store.find("gru.bias_hh"));
    const auto bias = [&](std::int64_t g, const char* name, bool input, bool state) {
      std::vector<float> values;
      for (auto i = static_cast<std::size_t>(g * H); i < static_cast<std::size_t>((g + 1) * H); ++i)
        values.push_back(static_cast<float>((input ? bias_ih[i] : 0) + (state ? bias_hh[i] : 0)));
      return write_list(graph, name, values);
    };
    reset_ = gate(0, "gru.reset");
    reset_bias_ = bias(0, "gru.reset_bias", true, true);
    update_ = gate(1, "gru.update");
    update_bias_ = bias(1, "gru.update_bias", true, true);
    input_ = GraphMatrix::part(store, "gru.weight_ih", 3 * H, 0, E, 2 * H, H).write(graph, "gru.input");
    input_bias_ = bias(2, "gru.input_bias", true, false);
    state_ = GraphMatrix::part(store, "gru.weight_hh", 3 * H, 0, H, 2 * H, H).write(graph, "gru.state");
    state_bias_ = bias(2, "gru.state_bias", false, true);
    first_ = GraphMatrix::stacked(whole("head.state", H, H),
                                  GraphMatrix::part(store, "head.moments", H, 0, 1, 0, H))
                 .write(graph, "head.first");
    log_sd_ = GraphMatrix::part(store, "head.moments", H, 1, 1, 0, H).write(graph, "head.log_sd");
    feature_ = whole("head.feature", F, H).with_gap(F, 1).write(graph, "head.feature");
    hidden_ = parameter(graph, store, "head.hidden");
    mixture_ = parameter(graph, store, "head.mixture");
    mixture_bias_ = parameter(graph, store, "head.mixture_bias");
    if (V == 0) return;
    category = parameter(graph, store, "head.category");
    category_bias = parameter(graph, store, "head.category_bias");
  }

  GraphValue write_contexts(GraphWriter& graph, const GraphValue& x, const GraphValue& code,
                            const GraphValue& known, std::int64_t rows) const override {
    const GraphWriter::Scope scope(graph, "context");
    const GraphValue scale =
        graph.op("Slice", {scale_, graph.integers({0}), graph.integers({F}), graph.integers({0})});
    const GraphValue tokens =
        graph.op("Add", {graph.op("Mul", {unsqueeze(graph, x, 1), scale}),
                         graph.op("Gather", {shift_, write_slots(graph, code)}, {{"axis", 0}})});
    const GraphValue start = graph.op("Expand", {start_, graph.integers({rows, H})});
    const GraphBody body = graph.subgraph("take_in", [&](GraphWriter& step) {
      const GraphValue h = step.input("h", GraphType::f32, {rows, H});
      const GraphValue token = step.input("token", GraphType::f32, {E});
      const GraphValue is_known = step.input("known", GraphType::boolean, {rows, 1});
      const GraphValue all = step.op("Expand", {token, step.integers({rows, E})});
      step.output(step.op("Where", {is_known, write_gru(step, all, h), h}), "h_next", GraphType::f32,
                  {rows, H});
    });
    return graph.op("Scan", {start, tokens, known}, {{"body", body}, {"num_scan_inputs", 2}}, "states");
  }

  OfBlock write_block(GraphWriter& graph, const BlockStart& start) const override {
    OfBlock block;
    block.of_coalition = graph.op("Add", {graph.op("Gather", {feature_, start.feature}, {{"axis", 0}}),
                                          graph.op("Mul", {unsqueeze(graph, start.log_sd, 3), log_sd_})});
    return block;
  }
  GraphValue write_state(GraphWriter& graph, const BlockStart& start, std::int64_t k) const override {
    return for_draws(graph, start.context, k);
  }

  GraphValue write_next(GraphWriter& graph, const GraphValue& state, const Drawn& drawn,
                        const GraphValue& feature) const override {
    const GraphValue scale = unsqueeze(graph, graph.op("Gather", {scale_, feature}, {{"axis", 0}}), 2);
    const GraphValue shift = V > 0
                                 ? graph.op("Gather", {shift_, drawn.slot}, {{"axis", 0}})
                                 : unsqueeze(graph, graph.op("Gather", {shift_, feature}, {{"axis", 0}}), 2);
    const GraphValue token = graph.op("Add", {graph.op("Mul", {unsqueeze(graph, drawn.x, 3), scale}), shift});
    return write_gru(graph, reshaped(graph, token, {rows(plan_.part_draws()), E}), state);
  }

  /// u = relu(W1 [h; mu; log s] + e_t), u <- u + relu(W2 u), (l, a, r) = W3 u + b3.
  Head write_head(GraphWriter& graph, const GraphValue& state, const OfBlock&,
                  const Place& place) const override {
    const GraphValue with_mean = graph.op("Concat", {state, reshaped(graph, place.mean, {rows(place.k), 1})},
                                          {{"axis", 1}}, "with_mean");
    const GraphValue first =
        reshaped(graph, graph.op("MatMul", {with_mean, first_}), {S, plan_.parts, place.k, H});
    Head head;
    const GraphValue u =
        reshaped(graph, graph.op("Relu", {graph.op("Add", {first, unsqueeze(graph, place.of_coalition, 2)})}),
                 {rows(place.k), H});
    head.u = graph.op("Add", {u, graph.op("Relu", {graph.op("MatMul", {u, hidden_})})}, {}, "u");
    head.mixture = graph.op("Gemm", {head.u, mixture_, mixture_bias_}, {}, "mixture");
    return head;
  }
  GraphValue write_context(GraphWriter&, const BlockStart& start, const Head&) const override {
    return start.context;
  }

 private:
  /// h' = n + z (h - n), r and z = sigmoid(W [token; h] + b), n = tanh(W_i token + b_i + r (W_h h + b_h)).
  GraphValue write_gru(GraphWriter& graph, const GraphValue& token, const GraphValue& h) const {
    const GraphValue both = graph.op("Concat", {token, h}, {{"axis", 1}});
    const GraphValue r = graph.op("Sigmoid", {graph.op("Gemm", {both, reset_, reset_bias_})}, {}, "r");
    const GraphValue z = graph.op("Sigmoid", {graph.op("Gemm", {both, update_, update_bias_})}, {}, "z");
    const GraphValue from_state = graph.op("Mul", {r, graph.op("Gemm", {h, state_, state_bias_})});
    const GraphValue n = graph.op(
        "Tanh", {graph.op("Add", {graph.op("Gemm", {token, input_, input_bias_}), from_state})}, {}, "n");
    return graph.op("Add", {n, graph.op("Mul", {z, graph.op("Sub", {h, n})})}, {}, "h");
  }

  const std::int64_t E;
  GraphValue scale_, shift_, start_;  // (F + 1, E), (F + 1 + V, E), (1, H)
  GraphValue reset_, reset_bias_, update_, update_bias_, input_, input_bias_, state_, state_bias_;
  GraphValue first_, log_sd_, feature_, hidden_, mixture_,
      mixture_bias_;  // first (H + 1, H): of h and the mean
};

}  // namespace

std::unique_ptr<StepNetwork> make_set_gru_steps(GraphWriter& graph, const SetGru& proposal,
                                                const AttributionPlan& plan) {
  return std::make_unique<SetGruSteps>(graph, proposal, plan);
}

}  // namespace emshap::io
