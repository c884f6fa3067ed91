// Models of other programs give what ONNX Runtime gives, row by row, however rows are cut into batches, and
// models of standard operators can be written into another graph.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <set>
#include <thread>

#include "emshap/core/error.h"
#include "emshap/io/graph_builder.h"
#include "io/foreign_models.h"
#include "support/compare.h"

using namespace emshap;

namespace {

std::vector<double> column(ConstTensorView values, std::int64_t j) {
  std::vector<double> result;
  for (std::int64_t r = 0; r < values.rows(); ++r)
    result.push_back(static_cast<double>(values.ptr<float>()[r * values.cols() + j]));
  return result;
}

double spread(const std::vector<double>& values) {
  double most = 0;
  for (const double v : values) most = std::max(most, std::abs(v));
  return most;
}

}  // namespace

TEST_SUITE("onnx_predictor") {
  TEST_CASE("every output of every model is ONNX Runtime's") {
    const auto outputs = test::foreign_outputs();
    REQUIRE(outputs.size() > 100);
    for (const auto& output : outputs) {
      CAPTURE(output.model);
      CAPTURE(output.output);
      const Tensor x = read_npy(test::foreign_path(output.model + ".x.npy"));
      const Tensor expected = read_npy(test::foreign_path(output.model + ".y.npy"));
      const std::string path = test::foreign_path(output.model + ".onnx");
      for (std::int64_t i = 0; i < output.entries; ++i) {
        const std::vector<double> want = column(expected, output.first + i);
        std::vector<double> got;
        try {
          const auto f = io::OnnxPredictor::load(
              path, {.output = output.output, .index = i, .class_name = {}, .columns = {}});
          REQUIRE(f.inputs() == x.cols());
          got = test::to_doubles(test::predicted(f, x).view());
        } catch (const std::exception& error) {
          FAIL_CHECK(std::string(error.what()));
          break;
        }
        // The formula for PROBIT takes differences of nearly equal numbers.
        const double scale = output.output.find("PROBIT") != std::string::npos ? 20 : 1;
        if (output.exact)
          test::check_same_bits(output.output, got, want);
        else
          test::check_close(output.output, got, want,
                            {scale * 2e-6 * std::max(1.0, spread(want)), scale * 1e-5});
      }
    }
  }

  TEST_CASE("a row's result does not depend on the batch") {
    // Eigen's products add in an order that depends on the number of rows.
    const double room = cpu_backend() == Backend::cpu_eigen ? 1e-5 : 0;
    const auto equal = [room](float a, float b) {
      return std::abs(static_cast<double>(a) - static_cast<double>(b)) <=
             room * (1 + std::abs(static_cast<double>(b)));
    };
    std::set<std::string> models;
    for (const auto& output : test::foreign_outputs()) {
      if (!models.insert(output.model).second) continue;
      CAPTURE(output.model);
      const Tensor x = read_npy(test::foreign_path(output.model + ".x.npy"));
      const auto f =
          io::OnnxPredictor::load(test::foreign_path(output.model + ".onnx"),
                                  {.output = output.output, .index = 0, .class_name = {}, .columns = {}});
      // More rows than a tile holds, then one at a time.
      const std::int64_t many = 1500, columns = x.cols();
      Tensor repeated(Shape{many, columns});
      for (std::int64_t r = 0; r < many; ++r)
        std::copy_n(x.ptr<float>() + r % x.rows() * columns, columns, repeated.ptr<float>() + r * columns);
      const Tensor all = test::predicted(f, repeated);
      bool same = true;
      for (std::int64_t r = 0; r < x.rows(); ++r) {
        const float alone = test::predicted(f, x.view().rows(r, 1)).ptr<float>()[0];
        for (std::int64_t copy = r; copy < many; copy += x.rows())
          same = same && equal(all.ptr<float>()[copy], alone);
      }
      CHECK(same);
      CHECK(test::predicted(f, x.view().rows(0, 0)).rows() == 0);
    }
  }

  TEST_CASE("several threads share a predictor") {
    for (const char* model : {"forest_regressor", "scaler_mlp", "torch_odd_opset17", "lightgbm_two"}) {
      CAPTURE(model);
      const auto f = io::OnnxPredictor::load(test::foreign_path(std::string(model) + ".onnx"));
      const Tensor x = read_npy(test::foreign_path(std::string(model) + ".x.npy"));
      const auto expected = test::to_doubles(test::predicted(f, x).view());
      std::vector<Tensor> results;
      for (int t = 0; t < 4; ++t) results.emplace_back(Shape{x.rows(), 1});
      std::vector<std::thread> threads;
      for (int t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
          Context ctx;
          for (int repeat = 0; repeat < 5; ++repeat) f.predict(ctx, x, results[static_cast<std::size_t>(t)]);
        });
      for (std::thread& thread : threads) thread.join();
      for (const Tensor& result : results)
        test::check_same_bits("shared", test::to_doubles(result.view()), expected);
    }
  }

  TEST_CASE("nothing is allocated once sizes are known") {
    const auto f = io::OnnxPredictor::load(test::foreign_path("torch_odd_opset17.onnx"));
    const Tensor x = read_npy(test::foreign_path("torch_odd_opset17.x.npy"));
    Context ctx;
    Tensor y(Shape{x.rows(), 1});
    f.predict(ctx, x, y);
    const std::int64_t before = allocation_count();
    for (int repeat = 0; repeat < 3; ++repeat) f.predict(ctx, x, y);
    CHECK(allocation_count() == before);
  }

  TEST_CASE("a model of standard operators becomes part of another graph") {
    int written = 0, refused = 0;
    for (const auto& output : test::foreign_outputs()) {
      CAPTURE(output.model);
      CAPTURE(output.output);
      const Tensor x = read_npy(test::foreign_path(output.model + ".x.npy"));
      const auto f =
          io::OnnxPredictor::load(test::foreign_path(output.model + ".onnx"),
                                  {.output = output.output, .index = 0, .class_name = {}, .columns = {}});
      std::string bytes;
      try {
        io::GraphBuilder graph("wrapped");
        const GraphValue in = graph.input("x", GraphType::f32, {"batch", x.cols()});
        GraphValue y;
        {
          const GraphWriter::Scope scope(graph, "f");
          y = f.append_to(graph, in);
        }
        graph.output(y, "y", GraphType::f32, {"batch", 1});
        bytes = graph.bytes();  // ONNX's checker looks at it
      } catch (const ConfigError& error) {
        ++refused;
        CHECK(std::string(error.what()).find("cannot be part of a graph of standard operators") !=
              std::string::npos);
        continue;
      }
      ++written;
      const auto again = io::OnnxPredictor::parse(bytes, "wrapped.onnx");
      const auto want = test::to_doubles(test::predicted(f, x).view());
      test::check_close(output.output, test::to_doubles(test::predicted(again, x).view()), want,
                        {1e-6 * std::max(1.0, spread(want)), 1e-6});
    }
    CHECK(written > 100);
    CHECK(refused > 20);
  }
}
