// Reading: files that are cut, changed, foreign or not ONNX at all give one sentence, never a crash.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <onnx/onnx_pb.h>
#include <unistd.h>

#include <filesystem>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/io/onnx_model.h"
#include "io/sample_graphs.h"

using namespace emshap;
namespace fs = std::filesystem;

namespace {

std::string sample_bytes() {
  io::GraphBuilder graph("sample");
  test::build_scaler(graph);
  return graph.bytes();
}

onnx::ModelProto sample_message() {
  onnx::ModelProto message;
  REQUIRE(message.ParseFromString(sample_bytes()));
  return message;
}

/// The sentence of the IoError that reading gives, empty when it gives none.
std::string error_of(const std::string& bytes) {
  try {
    io::OnnxModel::parse(bytes, "file.onnx");
  } catch (const IoError& error) {
    CHECK(error.kind() == ErrorKind::data);
    return error.what();
  }
  return {};
}

std::string error_of(const onnx::ModelProto& message) {
  return error_of(message.SerializeAsString());
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a file cut anywhere is refused with its name") {
  const std::string bytes = sample_bytes();
  REQUIRE(error_of(bytes).empty());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const std::string message = error_of(bytes.substr(0, length));
    CAPTURE(length);
    CHECK(message.starts_with("file.onnx: "));
    CHECK_FALSE(contains(message, "\n"));
  }
}

TEST_CASE("a changed byte gives a model or one sentence, never a crash") {
  const std::string bytes = sample_bytes();
  for (std::size_t at = 0; at < bytes.size(); ++at)
    for (const int change : {0x01, 0x80, 0x7f, 0xff, 0x10}) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ change);
      const std::string message = error_of(changed);
      if (!message.empty()) CHECK(message.starts_with("file.onnx: "));
    }
}

TEST_CASE("missing and unreadable files are named") {
  CHECK_THROWS_WITH_AS(io::OnnxModel::load("/nonexistent/model.onnx"),
                       doctest::Contains("/nonexistent/model.onnx"), IoError);
  CHECK(contains(error_of(std::string("not a protobuf at all")), "file.onnx: not an ONNX file"));
  const fs::path path = fs::temp_directory_path() / fmt::format("emshap_cut_{}.onnx", ::getpid());
  write_file_atomically(path, sample_bytes().substr(0, 100));
  CHECK_THROWS_WITH_AS(io::OnnxModel::load(path), doctest::Contains(path.c_str()), IoError);
  fs::remove(path);
}

TEST_CASE("versions and operator sets that are not known are refused") {
  onnx::ModelProto message = sample_message();
  message.set_ir_version(99);
  CHECK(contains(error_of(message), "IR version 99, expected 4 to 8"));
  message = sample_message();
  message.mutable_opset_import(0)->set_version(18);
  CHECK(contains(error_of(message), "opset 18, expected 1 to 17"));
  message = sample_message();
  message.add_opset_import()->set_domain("com.example");
  CHECK(contains(error_of(message), "domain 'com.example'"));
  message = sample_message();
  message.clear_opset_import();
  CHECK(contains(error_of(message), "no operator set"));
}

TEST_CASE("initialisers that do not hold what they say are refused") {
  onnx::ModelProto message = sample_message();
  auto* tensor = message.mutable_graph()->mutable_initializer(0);
  tensor->set_dims(0, 4);
  CHECK(contains(error_of(message), "'scaler.mean' of shape (4) holds 24 bytes, expected 32"));
  tensor->set_dims(0, -3);
  CHECK(contains(error_of(message), "negative extent"));
  tensor->set_dims(0, std::int64_t{1} << 62);
  CHECK(contains(error_of(message), "larger than"));
  tensor->set_dims(0, 0);
  tensor->add_dims(std::int64_t{1} << 62);
  CHECK(contains(error_of(message), "larger than"));
}

TEST_CASE("values in other files are refused, in attributes too") {
  onnx::ModelProto message = sample_message();
  auto* tensor = message.mutable_graph()->mutable_initializer(0);
  tensor->set_data_location(onnx::TensorProto::EXTERNAL);
  auto* entry = tensor->add_external_data();
  entry->set_key("location");
  entry->set_value("/etc/passwd");
  CHECK(contains(error_of(message), "'scaler.mean' are kept in another file"));

  message = sample_message();
  auto* node = message.mutable_graph()->add_node();
  node->set_op_type("Constant");
  *node->add_output() = std::string("c");
  auto* attribute = node->add_attribute();
  attribute->set_name("value");
  attribute->set_type(onnx::AttributeProto::TENSOR);
  attribute->mutable_t()->set_name("inner");
  attribute->mutable_t()->set_data_location(onnx::TensorProto::EXTERNAL);
  CHECK(contains(error_of(message), "'inner' are kept in another file"));
}

TEST_CASE("values in typed fields read like raw ones; initialisers are no inputs") {
  onnx::ModelProto message = sample_message();
  auto* tensor = message.mutable_graph()->mutable_initializer(0);
  tensor->clear_raw_data();
  for (const double v : {1.0, 2.0, 3.0}) tensor->add_double_data(v);
  auto* input = message.mutable_graph()->add_input();  // as files of IR version 3 and older have to
  *input = message.graph().input(0);
  input->set_name("scaler.mean");
  input->mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::DOUBLE);
  input->mutable_type()->mutable_tensor_type()->mutable_shape()->mutable_dim()->DeleteSubrange(0, 1);
  const auto model = io::OnnxModel::parse(message.SerializeAsString(), "typed");
  CHECK(model.values<double>("scaler.mean") == std::vector<double>{1, 2, 3});
  CHECK(model.inputs().size() == 1);
}

TEST_CASE("two initialisers of one name and missing metadata are named") {
  onnx::ModelProto message = sample_message();
  message.mutable_graph()->mutable_initializer(1)->set_name("scaler.mean");
  CHECK(contains(error_of(message), "two initialisers named 'scaler.mean'"));
  const auto model = io::OnnxModel::parse(sample_bytes(), "sample");
  CHECK_THROWS_WITH_AS(model.metadata("nothing"), doctest::Contains("sample: has no metadata 'nothing'"),
                       IoError);
}
