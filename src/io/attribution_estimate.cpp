#include "io/attribution_estimate.h"

#include <limits>
#include <string>
#include <unordered_map>

namespace emshap::io {
namespace {

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

GraphValue sum(GraphWriter& graph, const GraphValue& value, std::int64_t axis) {
  return graph.op("ReduceSum", {value, graph.integers({axis})}, {{"keepdims", 0}});
}
GraphValue square(GraphWriter& graph, const GraphValue& value) {
  return graph.op("Mul", {value, value});
}
GraphValue as_column(GraphWriter& graph, const GraphValue& value) {
  return graph.op("Unsqueeze", {value, graph.integers({1})});
}

}  // namespace

EstimateGraph::EstimateGraph(GraphWriter& graph, const Coalitions& coalitions, const AttributionPlan& plan,
                             double phi0)
    : plan_(plan), players_(coalitions.players), noise_(coalitions.size() > 2) {
  const GraphWriter::Scope scope(graph, "solve");
  const ShapleySolver solver(coalitions);
  const std::int64_t C = coalitions.size(), M = players_, CP = plan.rows();
  std::vector<std::int64_t> place(at(C), CP);  // empty: behind all others
  std::vector<double> matrix(at(M * CP), 0.0);
  for (std::int64_t i = 0; i < CP; ++i) {
    if (plan.filler[at(i)] != 0) continue;
    const std::int64_t c = plan.coalition[at(i)];
    place[at(c)] = i;
    for (std::int64_t j = 0; j < M; ++j) matrix[at(j * CP + i)] = solver.matrix().ptr<double>()[j * C + c];
  }
  matrix_ = graph.constant("matrix", {M, CP}, std::span<const double>(matrix));
  phi0_ = graph.constant("phi0", {}, std::vector<double>{phi0});
  if (coalitions.enumerated() || M < 2) return;
  if (coalitions.orders.empty())
    make_pairs(graph, coalitions, solver, place);
  else
    make_orders(graph, coalitions, place);
}

void EstimateGraph::make_pairs(GraphWriter& graph, const Coalitions& coalitions, const ShapleySolver& solver,
                               const std::vector<std::int64_t>& place) {
  const std::int64_t C = coalitions.size(), M = players_;
  std::vector<std::int64_t> number[2];
  std::vector<double> matrix[2], member[2], factor, weight;
  std::vector<std::int64_t> group;
  for (std::int64_t p = 1; p < C / 2; ++p) {
    if (solver.residual_pairs()[at(p)] == 0) continue;
    factor.push_back(solver.residual_pairs()[at(p)]);
    group.push_back(solver.size_groups()[at(p)]);
    weight.push_back(solver.size_weights()[at(p)]);
    for (std::int64_t side = 0; side < 2; ++side) {
      const std::int64_t c = 2 * p + side;
      number[side].push_back(place[at(c)]);
      for (std::int64_t j = 0; j < M; ++j) {
        matrix[side].push_back(solver.matrix().ptr<double>()[j * C + c]);
        member[side].push_back(coalitions.row(c)[j]);
      }
    }
  }
  pairs_ = static_cast<std::int64_t>(factor.size());
  if (pairs_ == 0) return;
  const auto numbers = [&](const char* name, const std::vector<std::int64_t>& list) {
    return graph.constant(name, {pairs_}, std::span<const std::int64_t>(list));
  };
  const auto table = [&](const char* name, const std::vector<double>& list) {
    return graph.constant(name, {pairs_, M}, std::span<const double>(list));
  };
  first_ = numbers("first", number[0]);
  second_ = numbers("second", number[1]);
  // Twice what the matrix holds, but by rows: small beside the rest.
  first_matrix_ = table("first_matrix", matrix[0]);
  second_matrix_ = table("second_matrix", matrix[1]);
  const std::vector<float> in[2] = {{member[0].begin(), member[0].end()},
                                    {member[1].begin(), member[1].end()}};
  first_member_ = graph.constant("first_member", {pairs_, M}, std::span<const float>(in[0]));
  second_member_ = graph.constant("second_member", {pairs_, M}, std::span<const float>(in[1]));
  factor_ = graph.constant("factor", {pairs_, 1}, std::span<const double>(factor));
  terms_ = solver.size_intercepts();
  if (terms_ == 0) return;
  std::vector<double> share(at(terms_ * pairs_), 0.0), sign(at(pairs_ * terms_), 0.0);
  for (std::int64_t i = 0; i < pairs_; ++i) {
    if (group[at(i)] < 0) continue;
    share[at(group[at(i)] * pairs_ + i)] = weight[at(i)] / 2;
    sign[at(i * terms_ + group[at(i)])] = weight[at(i)] < 0 ? -1 : 1;
  }
  size_share_ = graph.constant("size_share", {terms_, pairs_}, std::span<const double>(share));
  size_sign_ = graph.constant("size_sign", {pairs_, terms_}, std::span<const double>(sign));
}

void EstimateGraph::make_orders(GraphWriter& graph, const Coalitions& coalitions,
                                const std::vector<std::int64_t>& place) {
  const std::int64_t M = players_, orders = static_cast<std::int64_t>(coalitions.orders.size());
  pairs_ = orders / 2;
  std::unordered_map<std::string, std::int64_t> number;
  const auto key = [&](const std::uint8_t* z) {
    return std::string(reinterpret_cast<const char*>(z), at(M));
  };
  for (std::int64_t c = 0; c < coalitions.size(); ++c) number.emplace(key(coalitions.row(c)), place[at(c)]);
  std::vector<std::int64_t> before(at(orders * M)), after(at(orders * M));
  for (std::int64_t o = 0; o < orders; ++o) {
    std::vector<std::uint8_t> z(at(M), 0);
    std::int64_t last = plan_.rows();  // the empty one
    for (const std::int64_t j : coalitions.orders[at(o)]) {
      z[at(j)] = 1;
      before[at(o * M + j)] = last;
      after[at(o * M + j)] = last = number.at(key(z.data()));
    }
  }
  const GraphExtents extents{pairs_, 2, M};
  before_ = graph.constant("before", extents, std::span<const std::int64_t>(before));
  after_ = graph.constant("after", extents, std::span<const std::int64_t>(after));
  const auto count = static_cast<double>(pairs_);
  order_scale_ = graph.constant(
      "order_scale", {},
      std::vector<double>{pairs_ > 1 ? 1 / (count * (count - 1)) : std::numeric_limits<double>::quiet_NaN()});
}

/// sum_P factor_P (R_S e_S + R_S' e_S')^2, e_S = v(S) - v0 - z_S' phi - h(s).
GraphValue EstimateGraph::write_pair_variance(GraphWriter& graph, const GraphValue& gained,
                                              const GraphValue& phi) const {
  const auto residual = [&](const GraphValue& number, const GraphValue& member) {
    const GraphValue fitted = graph.op("MatMul", {graph.cast(member, GraphType::f64), as_column(graph, phi)});
    return graph.op("Sub", {as_column(graph, graph.op("Gather", {gained, number})), fitted}, {}, "residual");
  };
  GraphValue first = residual(first_, first_member_), second = residual(second_, second_member_);
  if (terms_ > 0) {
    const GraphValue h = graph.op("MatMul", {size_share_, graph.op("Sub", {first, second})}, {}, "size_term");
    const GraphValue of_pair = graph.op("MatMul", {size_sign_, h});
    first = graph.op("Sub", {first, of_pair});
    second = graph.op("Add", {second, of_pair});
  }
  const GraphValue u =
      graph.op("Add", {graph.op("Mul", {first_matrix_, first}), graph.op("Mul", {second_matrix_, second})});
  return sum(graph, graph.op("Mul", {factor_, square(graph, u)}), 0);
}

GraphValue EstimateGraph::write_order_variance(GraphWriter& graph, const GraphValue& gained,
                                               const GraphValue& phi) const {
  const std::vector<double> nothing{0};
  const GraphValue all = graph.op(
      "Concat", {gained, graph.constant("nothing", {1}, std::span<const double>(nothing))}, {{"axis", 0}});
  const GraphValue steps =
      graph.op("Sub", {graph.op("Gather", {all, after_}), graph.op("Gather", {all, before_})});
  const GraphValue of_pair = graph.op("Mul", {sum(graph, steps, 1), graph.scalar(.5)});
  return graph.op("Mul", {sum(graph, square(graph, graph.op("Sub", {of_pair, phi})), 0), order_scale_});
}

EstimateGraph::Result EstimateGraph::write(GraphWriter& graph, const GraphValue& v,
                                           const GraphValue& deviation) const {
  const GraphWriter::Scope scope(graph, "solve");
  const GraphValue gained = graph.op("Sub", {v, phi0_}, {}, "gained");
  const GraphValue phi = graph.op(
      "Squeeze", {graph.op("MatMul", {matrix_, as_column(graph, gained)}), graph.integers({1})}, {}, "phi");
  const double G = static_cast<double>(plan_.replicates);
  GraphValue variance = graph.op("Sub", {phi, phi});  // 0
  if (noise_ && plan_.replicates < 2) {
    variance = graph.op("Add", {variance, graph.scalar(std::numeric_limits<double>::quiet_NaN())});
  } else if (noise_) {
    const GraphValue psi = graph.op("MatMul", {matrix_, deviation});
    variance = graph.op("Mul", {sum(graph, square(graph, psi), 1), graph.scalar(G / (G - 1))});
  }
  if (pairs_ > 0) {
    const GraphValue sampling = before_.name.empty() ? write_pair_variance(graph, gained, phi)
                                                     : write_order_variance(graph, gained, phi);
    variance = graph.op("Add", {variance, sampling});
  }
  return {graph.cast(phi, GraphType::f32), graph.cast(graph.op("Sqrt", {variance}), GraphType::f32)};
}

}  // namespace emshap::io
