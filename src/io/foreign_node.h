#pragma once
// One node while its graph is compiled: typed access to inputs and attributes, results, steps. Functions
// throw IoError with a fragment; the compiler puts file and node before it.
#include <optional>
#include <set>
#include <span>

#include "io/foreign_plan.h"

namespace emshap::io::foreign {

/// Everything that lives while a graph is compiled.
struct Compiler {
  const ForeignGraph& graph;
  Plan plan;
  std::map<std::string, int> names;                      // values by name
  std::map<std::string, int> uses;                       // how many needed nodes read a name
  std::map<int, std::shared_ptr<Linear>> open_products;  // by storage: may still be added to
  Context ctx;                                           // for constants
};

class Node {
 public:
  Node(Compiler& compiler, const onnx::NodeProto& proto, std::int64_t opset)
      : compiler_(compiler), proto_(proto), opset_(opset) {}

  std::int64_t opset() const { return opset_; }
  const onnx::NodeProto& proto() const { return proto_; }
  Compiler& compiler() { return compiler_; }
  Plan& plan() { return compiler_.plan; }

  // Inputs.
  int inputs() const { return proto_.input_size(); }
  bool has(int i) const { return i < proto_.input_size() && !proto_.input(i).empty(); }
  int id(int i) const;  ///< the value's number; throws when the input is left out
  const Value& in(int i) const { return compiler_.plan.values[n(id(i))]; }
  bool is_constant(int i) const { return compiler_.plan.storages[n(in(i).storage)].constant != nullptr; }
  /// A constant of this type with its values; throws when it is not.
  const Constant& constant(int i, Element element) const;
  /// The entries of a constant list (or scalar) of integers. May hold rows_count only if `rows` allows it.
  std::vector<std::int64_t> integers(int i, bool rows = false) const;
  /// Throws unless the element type is one of these.
  void expect(int i, std::initializer_list<Element> elements) const;
  /// Input i has one axis besides the batch, which comes first: its extent.
  std::int64_t columns(int i) const;

  // Attributes. Throw when one has another type than asked for.
  const onnx::AttributeProto* attribute(const char* name) const;
  std::int64_t integer(const char* name, std::int64_t otherwise) const;
  float real(const char* name, float otherwise) const;
  std::string text(const char* name, const std::string& otherwise) const;
  std::optional<std::vector<std::int64_t>> integer_list(const char* name) const;
  std::vector<float> reals(const char* name) const;
  std::vector<std::string> texts(const char* name) const;
  std::optional<Constant> tensor(const char* name) const;

  // Results.
  bool wants(int i) const { return i < proto_.output_size() && compiler_.uses.contains(proto_.output(i)); }
  /// The value that is output i; throws when there is none yet.
  int result(int i = 0) const;
  /// Names a new value with memory of its own output i; its number.
  int out(int i, Element element, Dims dims);
  /// The same memory as value `of` under another shape.
  int alias(int i, int of, Dims dims);
  /// A constant as output i.
  int fold(int i, Constant constant, bool counts_rows = false);
  /// A value that has no name in the file.
  int temporary(Element element, Dims dims);
  int unnamed(Constant constant);

  /// Adds a step, or runs it now when everything it reads is constant and what it writes has no batch.
  /// `reads` and `writes` are values.
  void emit(const std::vector<int>& reads, const std::vector<int>& writes,
            std::function<void(const Frame&)> run);
  /// Output i: entry j of a row is entry map[j] of value x; dims have as many entries as the map.
  int select(int i, int x, Dims dims, std::vector<std::int32_t> map);
  /// Says in ONNX what the last step does.
  void write(std::string op_type, std::vector<Written::Operand> inputs, std::vector<int> outputs,
             GraphAttributes attributes = {});
  void write(Written::Say say, std::vector<Written::Operand> inputs, std::vector<int> outputs);
  /// The node as the file has it: its operator on its inputs, for output 0.
  void write_same(GraphAttributes attributes = {});
  /// Says that it has no form in the default domain.
  void cannot_write(std::vector<int> outputs);

  int storage(int value) const { return compiler_.plan.values[n(value)].storage; }
  const Value& value(int number) const { return compiler_.plan.values[n(number)]; }
  [[noreturn]] void fail(const std::string& what) const;

 private:
  int add(std::string name, Element element, Dims dims, int storage);
  Compiler& compiler_;
  const onnx::NodeProto& proto_;
  std::int64_t opset_;
};

/// A negative axis counts from the end; throws IoError when out of range.
std::int64_t axis_in(const Node& node, std::int64_t axis, std::int64_t rank);
/// Product of extents; throws IoError when it is more than a value may hold.
std::int64_t count(const Dims& dims);
/// Which number comes where along the rest when the batch is left out of `axis`.
std::int64_t rest_axis(const Value& value, std::int64_t axis);

using Lower = void (*)(Node&);
/// The operators by name: the default domain's ("Gemm") and ai.onnx.ml's.
const std::map<std::string, Lower>& activation_operators();
const std::map<std::string, Lower>& cast_operators();
const std::map<std::string, Lower>& elementwise_operators();
const std::map<std::string, Lower>& select_operators();
const std::map<std::string, Lower>& shape_operators();
const std::map<std::string, Lower>& product_operators();
const std::map<std::string, Lower>& reduce_operators();
const std::map<std::string, Lower>& ml_operators();

/// Adds `activation` to the product that made input 0, if nobody else reads it. Whether it could.
bool fuse_activation(Node& node, Activation activation);
/// Adds a constant to the product that made the other operand, if nobody else reads it. Whether it could.
bool fuse_bias(Node& node);

}  // namespace emshap::io::foreign
