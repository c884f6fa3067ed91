#pragma once
// The models of other programs in tests/golden/onnx, with inputs and ONNX Runtime's outputs.
#include <fstream>
#include <sstream>

#include "emshap/core/atomic_file.h"
#include "emshap/data/npy.h"
#include "emshap/io/onnx_predictor.h"

namespace emshap::test {

struct ForeignOutput {
  std::string model, output;
  std::int64_t entries = 0;
  bool exact = false;
  std::int64_t first = 0;  ///< column in the file of expected values
};

inline std::string foreign_path(const std::string& file) {
  return std::string(EMSHAP_TEST_DIR) + "/golden/onnx/" + file;
}

/// All outputs that hold real numbers, model after model.
inline std::vector<ForeignOutput> foreign_outputs() {
  std::ifstream file(foreign_path("models.txt"));
  std::vector<ForeignOutput> outputs;
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    ForeignOutput output;
    std::string how;
    words >> output.model >> output.output >> output.entries >> how;
    output.exact = how == "exact";
    if (!outputs.empty() && outputs.back().model == output.model)
      output.first = outputs.back().first + outputs.back().entries;
    outputs.push_back(output);
  }
  return outputs;
}

/// y (B, 1) of rows x.
inline Tensor predicted(const Predictor& predictor, ConstTensorView x) {
  Context ctx;
  Tensor y(Shape{x.rows(), 1});
  predictor.predict(ctx, x, y);
  return y;
}

}  // namespace emshap::test
