#pragma once
// Which columns a foreign model's inputs take, how many and by what names.
#include <string>
#include <vector>

#include "emshap/io/onnx_predictor.h"
#include "io/foreign_graph.h"

namespace emshap::io::foreign {

struct Columns {
  std::vector<std::int64_t> widths;    ///< columns of each input
  std::vector<std::string> names;      ///< in the caller's order; empty when nobody names them
  std::vector<std::int64_t> position;  ///< of each of the file's columns in the caller's rows
};
Columns columns_of(const ForeignGraph& graph, const OnnxPredictorOptions& options);
/// Whether the file gives class labels, be it beside what is computed.
bool is_classifier(const ForeignGraph& graph);
/// The output to compute. Throws ConfigError.
std::string output_of(const ForeignGraph& graph, const OnnxPredictorOptions& options);

}  // namespace emshap::io::foreign
