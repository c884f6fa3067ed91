#pragma once
// Any ONNX regression model, or one output of a classifier, as the model f that is explained. Runs the
// operators that tabular models use, of the default domain (opset 1 to 23) and of ai.onnx.ml (opset 1 to 5),
// on the CPU, without ONNX Runtime.
//
// The graph must treat rows alone: the batch is one axis of every value, and an operator that would mix rows
// (a sum over the batch, say) is refused. What the chosen output does not need is left out, so labels and
// ZipMap never matter. Constants are folded when the file is read.
//
//   const auto f = io::OnnxPredictor::load("forest.onnx", {.output = "probabilities", .class_name = "1"});
//   f.predict(ctx, rows, y);
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emshap/data/graph_writer.h"
#include "emshap/models/predictor.h"

namespace emshap::io {

/// Which number of the file is f, and what its columns are called.
struct OnnxPredictorOptions {
  /// Output of the graph. Empty: the only one that holds real numbers (a classifier's probabilities or
  /// scores, not its labels).
  std::string output;
  /// Which entry of a row of the output, from 0. Without it and without class_name: the only one, or the
  /// second of a classifier's two, the positive class.
  std::optional<std::int64_t> index;
  /// The same by class label, as text: "setosa", "1". Where the file has no labels, the entry's number.
  std::string class_name;
  /// Names of the D columns in the order of the rows that predict() gets. Empty: what columns() says. Where
  /// the file itself has names they must be the same ones, in any order; where it has none they also tell
  /// how many columns a file takes that does not say.
  std::vector<std::string> columns;
};

class EMSHAP_API OnnxPredictor final : public Predictor {
 public:
  /// Throws IoError (data), one sentence with the file's name: unreadable, cut or malformed, values kept in
  /// other files, an operator that is not supported (by node and operator), a graph that mixes rows.
  /// ConfigError for options that do not fit the file; the sentence lists what there is to choose from.
  static OnnxPredictor load(const std::filesystem::path& path, const OnnxPredictorOptions& options = {});
  /// The same from memory; `name` stands for the file in messages.
  static OnnxPredictor parse(std::string_view bytes, const std::string& name,
                             const OnnxPredictorOptions& options = {});
  ~OnnxPredictor() override;
  OnnxPredictor(OnnxPredictor&&) noexcept;
  OnnxPredictor& operator=(OnnxPredictor&&) noexcept;

  std::int64_t inputs() const override;
  /// Every value is computed in the type the file says, f32 for most. Inputs of integer type get the nearest
  /// integer. Works through tiles of rows; scratch is the context's workspace.
  void predict(Context& ctx, ConstTensorView raw, TensorView y) const override;

  /// Names of the D columns: the caller's, else metadata "features" (a JSON list), else the inputs' names
  /// where each is one column; empty when the file does not name them.
  const std::vector<std::string>& columns() const;
  const std::string& file() const;
  const std::string& producer() const;  ///< e.g. "skl2onnx 1.19.1"
  /// The chosen output, e.g. "variable", "probabilities[1]" or "output_probability['yes']".
  const std::string& target() const;
  /// Class labels of a classifier, as text, in the order of its scores; empty for a regression.
  const std::vector<std::string>& classes() const;

  /// Appends the model to a graph under construction (opset 17), under its current scope: y (batch, 1) f32
  /// from x (batch, D) f32, `batch` any extent. Throws ConfigError naming the first node that is not of the
  /// default domain, or that opset 17 cannot say.
  GraphValue append_to(GraphWriter& graph, const GraphValue& x) const;

 private:
  struct Impl;
  explicit OnnxPredictor(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

}  // namespace emshap::io
