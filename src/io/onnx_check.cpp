#include "io/onnx_check.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <onnx/checker.h>
#include <onnx/shape_inference/implementation.h>

#include <limits>

#include "emshap/core/error.h"

namespace emshap::io {
namespace {

std::string one_line(const std::string& text) {
  std::string line;
  for (const char c : text) {
    const bool space = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    if (!space)
      line += c;
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

}  // namespace

std::string check_onnx(const onnx::ModelProto& model) {
  try {
    onnx::checker::check_model(model);
    onnx::ModelProto copy = model;  // inference adds the types it finds; we only want its complaints
    onnx::shape_inference::InferShapes(copy, onnx::OpSchemaRegistry::Instance(), {true, 1, true});
  } catch (const std::exception& error) {
    return one_line(error.what());
  }
  return {};
}

std::string serialize(const onnx::ModelProto& model) {
  const std::size_t size = model.ByteSizeLong();
  if (size > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
    throw Error(ErrorKind::internal,
                fmt::format("an ONNX file of {} bytes was asked for, expected at most 2 GiB", size));
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    model.SerializeWithCachedSizes(&coded);
  }
  return bytes;
}

}  // namespace emshap::io
