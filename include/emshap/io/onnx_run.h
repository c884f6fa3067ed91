#pragma once
// Runs the graph of an ONNX file, for verification: what a file computes is held against the model it came
// from without another program. Slow and simple; use ONNX Runtime to predict.
#include <map>
#include <string>

#include "emshap/core/tensor.h"
#include "emshap/io/onnx_model.h"

namespace emshap::io {

/// The float32 outputs by name from float32 inputs by name, all on the CPU. Knows the operators that emshap's
/// exports use, Scan among them, and some that other models have; without Loop and If. Throws IoError (data)
/// naming the node for an operator it does not know or values that do not fit, ConfigError for a missing
/// input.
EMSHAP_API std::map<std::string, Tensor> run_onnx(const OnnxModel& model,
                                                  const std::map<std::string, ConstTensorView>& inputs);

}  // namespace emshap::io
