// The Gaussian base given any set of known features: Gaussian elimination as in ops/gaussian_base.h,
// unrolled.
#include <cmath>

#include "emshap/ops/gaussian_base.h"
#include "io/emshap_graph.h"

namespace emshap::io {

// One matrix D (F, F + 1) a row: the conditional covariance C, and beside it r = x - mean with x = 0 for
// unknown features. Making feature k known is D -= g D[k, :], g = D[:, k] / C_kk, for both; an unknown k
// leaves D as it is (g = 0). At the end x - r is the mean: x itself where known, since r is 0 there.
void write_gaussian_base(GraphWriter& graph, const GaussianBase& base, KnownValues& values) {
  const std::int64_t features = base.features();
  const auto at = [&](std::int64_t r, std::int64_t c) {
    return base.covariance[static_cast<std::size_t>(r * features + c)];
  };
  const GraphWriter::Scope scope(graph, "base");
  const GraphValue mean = list(graph, "mean", base.mean);
  const GraphValue sigma =
      graph.constant("covariance", {features, features}, std::span<const double>(base.covariance));

  GraphValue d =
      graph.op("Concat",
               {graph.op("Expand", {sigma, shape_with_rows_of(graph, values.x64, {features, features})}),
                unsqueeze(graph, graph.op("Sub", {values.x64, mean}), 2)},
               {{"axis", 2}}, "elimination");
  const GraphValue known = unsqueeze(graph, values.known64, 2);
  for (std::int64_t k = 0; k < features; ++k) {
    const GraphValue index = graph.integers({k});
    const GraphValue row = graph.op("Gather", {d, index}, {{"axis", 1}}, "row");      // (B, 1, F + 1)
    const GraphValue gain = graph.op("Gather", {d, index}, {{"axis", 2}}, "column");  // (B, F, 1)
    const GraphValue pivot = graph.op(
        "Max", {graph.op("Gather", {row, index}, {{"axis", 2}}, "pivot"), graph.scalar(1e-12 * at(k, k))});
    const GraphValue share =
        graph.op("Div", {graph.op("Gather", {known, index}, {{"axis", 1}}, "known"), pivot});
    d = graph.op("Sub", {d, graph.op("Mul", {graph.op("Mul", {gain, share}), row})}, {}, "elimination");
  }

  std::vector<double> diagonal(static_cast<std::size_t>(features * (features + 1)), 0.0), floor;
  for (std::int64_t t = 0; t < features; ++t) {
    diagonal[static_cast<std::size_t>(t * (features + 1) + t)] = 1;
    floor.push_back(1e-12 * at(t, t));
  }
  const GraphValue variance = graph.op(
      "ReduceSum",
      {graph.op("Mul",
                {d, graph.constant("diagonal", {features, features + 1}, std::span<const double>(diagonal))}),
       graph.integers({2})},
      {{"keepdims", 0}}, "variance");
  const GraphValue log_sd =
      graph.op("Mul", {graph.op("Log", {graph.op("Max", {variance, list(graph, "least_variance", floor)})}),
                       graph.scalar(.5)});
  const GraphValue residual = graph.op(
      "Squeeze", {graph.op("Gather", {d, graph.integers({features})}, {{"axis", 2}}), graph.integers({2})});
  values.mu = graph.cast(graph.op("Sub", {values.x64, residual}), GraphType::f32);
  values.log_sd = graph.cast(graph.op("Where", {values.known, graph.scalar(ops::base_known_log_sd), log_sd}),
                             GraphType::f32);
}

}  // namespace emshap::io
