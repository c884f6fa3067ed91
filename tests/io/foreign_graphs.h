#pragma once
// Small ONNX models built by hand, valid or not, for tests of reading.
#include <onnx/onnx_pb.h>

#include <string>
#include <vector>

namespace emshap::test {

/// A model under construction with one input x (N, 3) and one output y, float32 both.
class ForeignModel {
 public:
  explicit ForeignModel(std::int64_t opset = 17, std::int64_t ml = 3) {
    model.set_ir_version(8);
    add_opset("", opset);
    add_opset("ai.onnx.ml", ml);
    graph().set_name("by hand");
    add_input("x", onnx::TensorProto::FLOAT, {-1, 3});
    add_output("y");
  }

  onnx::GraphProto& graph() { return *model.mutable_graph(); }
  void add_opset(const std::string& domain, std::int64_t version) {
    auto* opset = model.add_opset_import();
    opset->set_domain(domain);
    opset->set_version(version);
  }
  onnx::ValueInfoProto& add_input(const std::string& name, int type, const std::vector<std::int64_t>& dims) {
    auto* info = graph().add_input();
    info->set_name(name);
    auto* tensor = info->mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(type);
    for (const std::int64_t extent : dims) {
      auto* dim = tensor->mutable_shape()->add_dim();
      extent < 0 ? dim->set_dim_param("N") : dim->set_dim_value(extent);
    }
    return *info;
  }
  void add_output(const std::string& name, int type = onnx::TensorProto::FLOAT) {
    auto* info = graph().add_output();
    info->set_name(name);
    info->mutable_type()->mutable_tensor_type()->set_elem_type(type);
  }
  onnx::NodeProto& node(const std::string& op, const std::vector<std::string>& inputs,
                        const std::vector<std::string>& outputs, const std::string& domain = {}) {
    auto* made = graph().add_node();
    made->set_op_type(op);
    made->set_domain(domain);
    made->set_name(op + std::to_string(graph().node_size()));
    for (const auto& name : inputs) made->add_input(name);
    for (const auto& name : outputs) made->add_output(name);
    return *made;
  }
  void floats(const std::string& name, const std::vector<std::int64_t>& dims,
              const std::vector<float>& values) {
    auto* tensor = graph().add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(onnx::TensorProto::FLOAT);
    for (const std::int64_t extent : dims) tensor->add_dims(extent);
    for (const float value : values) tensor->add_float_data(value);
  }
  void integers(const std::string& name, const std::vector<std::int64_t>& values) {
    auto* tensor = graph().add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(onnx::TensorProto::INT64);
    tensor->add_dims(static_cast<std::int64_t>(values.size()));
    for (const std::int64_t value : values) tensor->add_int64_data(value);
  }
  std::string bytes() const { return model.SerializeAsString(); }

  onnx::ModelProto model;
};

inline void set(onnx::NodeProto& node, const std::string& name, std::int64_t value) {
  auto* a = node.add_attribute();
  a->set_name(name);
  a->set_type(onnx::AttributeProto::INT);
  a->set_i(value);
}
inline void set(onnx::NodeProto& node, const std::string& name, const std::vector<std::int64_t>& values) {
  auto* a = node.add_attribute();
  a->set_name(name);
  a->set_type(onnx::AttributeProto::INTS);
  for (const std::int64_t value : values) a->add_ints(value);
}
inline void set(onnx::NodeProto& node, const std::string& name, const std::vector<float>& values) {
  auto* a = node.add_attribute();
  a->set_name(name);
  a->set_type(onnx::AttributeProto::FLOATS);
  for (const float value : values) a->add_floats(value);
}
inline void set(onnx::NodeProto& node, const std::string& name, const std::vector<std::string>& values) {
  auto* a = node.add_attribute();
  a->set_name(name);
  a->set_type(onnx::AttributeProto::STRINGS);
  for (const auto& value : values) a->add_strings(value);
}
inline void set(onnx::NodeProto& node, const std::string& name, const std::string& value) {
  auto* a = node.add_attribute();
  a->set_name(name);
  a->set_type(onnx::AttributeProto::STRING);
  a->set_s(value);
}

/// A tree x[0] <= .5 ? 10 : (x[1] <= .25 ? 20 : 30) as a node of `model` that makes y from x.
inline onnx::NodeProto& add_tree(ForeignModel& model) {
  using Integers = std::vector<std::int64_t>;
  onnx::NodeProto& tree = model.node("TreeEnsembleRegressor", {"x"}, {"y"}, "ai.onnx.ml");
  set(tree, "n_targets", 1);
  set(tree, "nodes_treeids", Integers{0, 0, 0, 0, 0});
  set(tree, "nodes_nodeids", Integers{0, 1, 2, 3, 4});
  set(tree, "nodes_featureids", Integers{0, 0, 1, 0, 0});
  set(tree, "nodes_modes", std::vector<std::string>{"BRANCH_LEQ", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"});
  set(tree, "nodes_values", std::vector<float>{.5F, 0, .25F, 0, 0});
  set(tree, "nodes_truenodeids", Integers{1, 0, 3, 0, 0});
  set(tree, "nodes_falsenodeids", Integers{2, 0, 4, 0, 0});
  set(tree, "target_treeids", Integers{0, 0, 0});
  set(tree, "target_nodeids", Integers{1, 3, 4});
  set(tree, "target_ids", Integers{0, 0, 0});
  set(tree, "target_weights", std::vector<float>{10, 20, 30});
  return tree;
}
inline onnx::AttributeProto& attribute(onnx::NodeProto& node, const std::string& name) {
  for (auto& a : *node.mutable_attribute())
    if (a.name() == name) return a;
  return *node.add_attribute();
}

}  // namespace emshap::test
