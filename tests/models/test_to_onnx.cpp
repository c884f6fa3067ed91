// to_onnx of layers and models against their infer: a graph writer that computes each node at once, in
// double, by the definitions of ONNX opset 17. The files themselves are checked with ONNX Runtime elsewhere.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <stdexcept>

#include "emshap/data/graph_writer.h"
#include "emshap/layers/skip_mlp.h"
#include "emshap/models/energy_network.h"
#include "emshap/models/power_predictor.h"
#include "support/compare.h"
#include "support/layer_harness.h"

using namespace emshap;
using namespace emshap::test;

namespace {

class EagerGraph : public GraphWriter {
 public:
  struct Value {
    std::int64_t rows = 1, cols = 1;
    std::vector<double> data;
    /// Row and column beyond an extent of one are those of the single one: broadcasting.
    double at(std::int64_t r, std::int64_t c) const {
      return data[static_cast<std::size_t>((rows == 1 ? 0 : r) * cols + (cols == 1 ? 0 : c))];
    }
  };
  GraphValue keep(const std::string& hint, Value v) {
    const std::string name = fmt::format("{}#{}", hint, values_.size());
    values_[name] = std::move(v);
    return {name};
  }
  const Value& operator[](const GraphValue& v) const { return values_.at(v.name); }
  const std::vector<std::string>& constants() const { return constants_; }

  GraphValue constant(std::string_view name, const GraphExtents& e, std::span<const float> v) override {
    constants_.emplace_back(name);
    return unnamed_constant(e, v);
  }
  GraphValue constant(std::string_view, const GraphExtents&, std::span<const double>) override {
    throw unexpected("double constant");
  }
  GraphValue constant(std::string_view, const GraphExtents&, std::span<const std::int64_t>) override {
    throw unexpected("integers");
  }
  GraphValue unnamed_constant(const GraphExtents& e, std::span<const float> v) override {
    const std::int64_t cols = e.empty() ? 1 : e.back(), rows = e.size() == 2 ? e.front() : 1;
    CHECK(static_cast<std::int64_t>(v.size()) == rows * cols);
    return keep("constant", {rows, cols, {v.begin(), v.end()}});
  }
  GraphValue unnamed_constant(const GraphExtents&, std::span<const double>) override {
    throw unexpected("double constant");
  }
  GraphValue unnamed_constant(const GraphExtents&, std::span<const std::int64_t>) override {
    throw unexpected("integers");
  }
  GraphValue input(std::string_view, GraphType, const GraphDims&) override { throw unexpected("input"); }
  void output(const GraphValue&, std::string_view, GraphType, const GraphDims&) override {
    throw unexpected("output");
  }
  GraphBody subgraph(std::string_view, const std::function<void(GraphWriter&)>&) override {
    throw unexpected("subgraph");
  }
  void metadata(std::string_view, std::string_view) override { throw unexpected("metadata"); }
  void push_scope(std::string_view) override {}
  void pop_scope() override {}

  GraphValues node(std::string_view op, const GraphValues& in, int outputs, const GraphAttributes& attributes,
                   std::string_view) override {
    CHECK(outputs == 1);
    std::vector<const Value*> a;
    for (const GraphValue& v : in) a.push_back(&values_.at(v.name));
    return {keep(std::string(op), compute(op, a, attributes))};
  }

 private:
  static std::logic_error unexpected(std::string_view what) {
    return std::logic_error(fmt::format("unexpected {}", what));
  }
  template <class F>
  static Value map(const F& f, std::int64_t rows, std::int64_t cols) {
    Value v{rows, cols, {}};
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < cols; ++c) v.data.push_back(f(r, c));
    return v;
  }
  static Value compute(std::string_view op, const std::vector<const Value*>& a,
                       const GraphAttributes& attributes) {
    const Value& x = *a.at(0);
    const auto unary = [&](auto f) {
      return map([&](auto r, auto c) { return f(x.at(r, c)); }, x.rows, x.cols);
    };
    const auto number = [&] { return static_cast<double>(std::get<float>(attributes.at(0).value())); };
    if (op == "Relu") return unary([](double z) { return std::max(z, 0.0); });
    if (op == "LeakyRelu") return unary([&](double z) { return z > 0 ? z : number() * z; });
    if (op == "Erf") return unary([](double z) { return std::erf(z); });
    if (op == "Tanh") return unary([](double z) { return std::tanh(z); });
    if (op == "Sigmoid") return unary([](double z) { return 1 / (1 + std::exp(-z)); });
    if (op == "Softplus") return unary([](double z) { return std::log1p(std::exp(z)); });
    const Value& y = *a.at(1);
    if (op == "Add" || op == "Mul") {
      const bool add = op == "Add";
      return map([&](auto r, auto c) { return add ? x.at(r, c) + y.at(r, c) : x.at(r, c) * y.at(r, c); },
                 std::max(x.rows, y.rows), std::max(x.cols, y.cols));
    }
    if (op == "MatMul" || op == "Gemm") {
      CHECK(attributes.empty());
      CHECK(x.cols == y.rows);
      return map(
          [&](auto r, auto c) {
            double sum = op == "Gemm" ? a.at(2)->at(r, c) : 0;
            for (std::int64_t k = 0; k < x.cols; ++k) sum += x.at(r, k) * y.at(k, c);
            return sum;
          },
          x.rows, y.cols);
    }
    if (op == "Concat") {
      CHECK(std::get<std::int64_t>(attributes.at(0).value()) == 1);
      return map([&](auto r, auto c) { return c < x.cols ? x.at(r, c) : y.at(r, c - x.cols); }, x.rows,
                 x.cols + y.cols);
    }
    if (op == "BatchNormalization") {
      CHECK(attributes.at(0).name() == "epsilon");
      return map(
          [&](auto r, auto c) {
            return a.at(1)->at(0, c) * (x.at(r, c) - a.at(3)->at(0, c)) /
                       std::sqrt(a.at(4)->at(0, c) + number()) +
                   a.at(2)->at(0, c);
          },
          x.rows, x.cols);
    }
    throw unexpected(op);
  }
  std::map<std::string, Value> values_;
  std::vector<std::string> constants_;
};

template <class Layer>
void check_graph(const std::string& what, Layer& layer, ParameterStore& store, std::int64_t inputs,
                 std::int64_t outputs) {
  constexpr std::int64_t B = 37;
  randomise(store, 5);
  const std::vector<double> values = random_values(B * inputs, 6, 2);
  EagerGraph graph;
  const EagerGraph::Value& got = graph[layer.to_onnx(graph, graph.keep("x", {B, inputs, values}))];
  Context ctx;
  Tensor y({B, outputs});
  layer.infer(ctx, make_tensor(values, {B, inputs}, DType::f32), y);
  const std::vector<double> reference = to_doubles(y.view());
  CHECK(got.cols == outputs);
  check_close(what, got.data, reference, {1e-5 * std::max(1.0, max_abs(reference)), 1e-5});
  std::vector<std::string> names;
  for (const auto& p : store.parameters()) names.push_back(p.name);
  for (const auto& b : store.buffers()) names.push_back(b.name);
  std::vector<std::string> constants = graph.constants();
  std::sort(names.begin(), names.end());
  std::sort(constants.begin(), constants.end());
  CHECK(constants == names);
}

template <class Layer, class Options>
void check_in_store(const std::string& what, const Options& options, std::int64_t inputs,
                    std::int64_t outputs) {
  ParameterStore store;
  Layer layer(store, "layer", options);
  store.allocate(DType::f32);
  check_graph(what, layer, store, inputs, outputs);
}

}  // namespace

TEST_CASE("graphs of layers compute what infer computes") {
  for (const Activation a : {Activation::identity, Activation::relu, Activation::leaky_relu, Activation::gelu,
                             Activation::tanh, Activation::sigmoid, Activation::softplus, Activation::silu})
    for (const bool norm : {false, true})
      check_in_store<MlpBlock>(
          fmt::format("MlpBlock {} {}", to_string(a), norm),
          MlpBlockOptions{.inputs = 5, .outputs = 7, .batch_norm = norm, .activation = a, .dropout = .2}, 5,
          7);
  check_in_store<Linear>("Linear", LinearOptions{.inputs = 5, .outputs = 3, .bias = false}, 5, 3);
  check_in_store<ResidualBlock>("ResidualBlock", ResidualBlockOptions{.features = 6, .dropout = .1}, 6, 6);
  for (const Skip skip : {Skip::add, Skip::concat})
    check_in_store<SkipMlp>(to_string(skip),
                            SkipMlpOptions{.inputs = 5, .hidden = 6, .outputs = 2, .skip = skip}, 5, 2);
}

TEST_CASE("the graph of a power predictor computes what infer computes") {
  for (const int residual_blocks : {0, 1})
    for (const bool norm : {false, true}) {
      PowerPredictor model({.features = 6,
                            .hidden = {9, 4},
                            .activation = Activation::gelu,
                            .batch_norm = norm,
                            .residual_blocks = residual_blocks});
      check_graph(fmt::format("{} residual blocks", residual_blocks), model, model.store(), 6, 1);
    }
}

TEST_CASE("the graph of an energy network computes what infer computes") {
  constexpr std::int64_t B = 37, F = 4, H = 6;
  for (const EnergyForm form : {EnergyForm::residual, EnergyForm::absolute})
    for (const Activation activation : {Activation::relu, Activation::gelu}) {
      EnergyNetwork model(
          {.features = F, .context = H, .form = form, .bound = 3, .hidden = 9, .activation = activation});
      randomise(model.store(), 5);
      const std::vector<double> x = random_values(B * F, 1), mask = random_values(B * F, 2),
                                context = random_values(B * H, 3);
      EagerGraph graph;
      const EagerGraph::Value& got =
          graph[model.to_onnx(graph, graph.keep("x", {B, F, x}), graph.keep("mask", {B, F, mask}),
                              graph.keep("context", {B, H, context}))];
      Context ctx;
      Tensor energy({B});
      model.infer(ctx, make_tensor(x, {B, F}, DType::f32), make_tensor(mask, {B, F}, DType::f32),
                  make_tensor(context, {B, H}, DType::f32), energy);
      CHECK(got.cols == 1);
      check_close("energy", got.data, to_doubles(energy.view()), {1e-5, 1e-5});
      CHECK(graph.constants().size() == model.store().parameters().size());
    }
}
