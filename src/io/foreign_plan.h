#pragma once
// A compiled foreign graph: steps in order, each on all rows of a tile, and where values lie in memory.
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "emshap/data/graph_writer.h"
#include "emshap/ops/activation.h"
#include "io/foreign_graph.h"
#include "io/foreign_value.h"

namespace emshap::io::foreign {

struct Step {
  std::function<void(const Frame&)> run;
  std::vector<int> reads, writes;  ///< storages
};

/// A product with a constant that may still take in a bias and an activation: y = act(x w + bias).
struct Linear {
  int x = 0, y = 0, w = 0, bias = -1;  ///< storages
  std::int64_t repeats = 1;            ///< rows of x per row of the batch
  std::int64_t inner = 0, columns = 0;
  Activation activation = Activation::identity;
};

/// How a step is said in ONNX's opset 17, or what keeps it from being said.
struct Written {
  /// A value's number, or a list of integers.
  using Operand = std::variant<int, std::vector<std::int64_t>>;
  using Say = std::function<GraphValues(GraphWriter&, const GraphValues&)>;
  Say say;                      ///< results from operands
  std::vector<Operand> inputs;  ///< -1: left out
  std::vector<int> outputs;     ///< values
  std::string obstacle;         ///< not empty: what there is instead, e.g. "node 'a' (ai.onnx.ml.Scaler)"
};

class Plan {
 public:
  std::vector<Value> values;
  std::vector<Storage> storages;
  std::vector<Step> steps;
  std::vector<Written> written;
  std::vector<int> inputs;  ///< storages of the graph's inputs, -1 where nothing reads one
  int output = -1;          ///< value
  std::vector<std::string> classes;

  /// Gives every storage that depends on rows its place; call once when all steps are there.
  void place();
  /// Rows of a tile.
  std::int64_t tile() const { return tile_; }
  /// Bytes of scratch for a tile.
  std::int64_t scratch() const { return slots_bytes_ * tile_; }
  /// Fills `at`, one pointer per storage, for a tile in `memory` (64-byte aligned).
  void lay_out(void* memory, void** at) const;

 private:
  std::vector<std::int64_t> offset_;  // per storage, in bytes per row; times tile
  std::int64_t slots_bytes_ = 0, tile_ = 0;
};

/// Column counts and names of inputs are settled by the caller; `widths` are the columns of each input.
Plan compile(const ForeignGraph& graph, const std::string& output, const std::vector<std::int64_t>& widths);

}  // namespace emshap::io::foreign
