// A feature space as a graph: the values of to_model, missing entries kept.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "emshap/data/feature_space.h"
#include "emshap/io/graph_builder.h"
#include "emshap/io/onnx_run.h"

using namespace emshap;

namespace {

constexpr std::int64_t columns = 5;

/// A skewed column, one with ties, an indicator, a constant, one with missing cells.
Table sample_table(std::int64_t rows) {
  std::vector<ColumnSpec> schema;
  for (const char* name : {"skewed", "tied", "flag", "constant", "gaps"})
    schema.push_back({name, ColumnType::f32, ColumnRole::feature});
  Table table(schema);
  Generator random({17, RandomPurpose::test});
  for (std::int64_t r = 0; r < rows; ++r) {
    const double z = random.normal();
    const double values[] = {std::exp(2 * z), std::floor(std::abs(40 * random.normal())),
                             static_cast<double>(random.below(2)), 3, z + random.normal()};
    for (std::size_t c = 0; c < columns; ++c) {
      if (c == 4 && r % 6 == 1) {
        table.columns()[c].push_missing();
      } else {
        table.columns()[c].push_f32(static_cast<float>(values[c]));
      }
    }
  }
  return table;
}

}  // namespace

TEST_CASE("the graph of a feature space gives the values of to_model") {
  const Table table = sample_table(3000);
  Tensor raw = raw_features(table, all_rows(table));
  for (std::int64_t r = 0; r < 100; ++r) raw.ptr<float>()[r * columns] *= 40;  // beyond the knots, too
  for (const auto transform : {FeatureTransform::standardise, FeatureTransform::quantile}) {
    FeatureSpaceOptions options;
    options.transform = transform;
    options.max_categories = 8;
    const FeatureSpace space = FeatureSpace::fit(table, all_rows(table), {}, options);
    REQUIRE(space.features() == 4);
    io::GraphBuilder graph("space");
    const GraphValue x = graph.input("x", GraphType::f32, {"batch", columns});
    graph.output(space.to_onnx(graph, x), "y", GraphType::f32, {"batch", 4});
    auto outputs = io::run_onnx(io::OnnxModel::parse(graph.bytes(), "space"), {{"x", raw}});
    const Tensor& y = outputs.at("y");
    Tensor exact({raw.rows(), 4}), observed({raw.rows(), 4});
    space.to_model(raw, exact, observed, {});
    REQUIRE(y.shape() == exact.shape());
    for (std::int64_t i = 0; i < exact.elements(); ++i) {
      if (observed.ptr<float>()[i] == 0) {
        REQUIRE(std::isnan(y.ptr<float>()[i]));
      } else {
        REQUIRE(y.ptr<float>()[i] == exact.ptr<float>()[i]);
      }
    }
  }
}
