#pragma once
// The protobuf message behind an OnnxModel.
#include <onnx/onnx_pb.h>

#include "emshap/io/onnx_model.h"

namespace emshap::io {

struct OnnxModel::Tensors {
  onnx::ModelProto model;
};

struct OnnxMessage {
  static const onnx::ModelProto& of(const OnnxModel& model) { return model.tensors_->model; }
};

}  // namespace emshap::io
