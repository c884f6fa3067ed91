#pragma once
// How pipeline steps, layers and models write themselves into a computation graph without knowing its file
// format: io::GraphBuilder turns the calls into ONNX. Operators, attributes and semantics are those of ONNX
// opset 17.
//
//   GraphWriter::Scope scope(g, "scaler");
//   const GraphValue x64 = g.cast(x, GraphType::f64);
//   const GraphValue mean = g.constant("mean", {F}, std::span<const double>(means));   // named "scaler.mean"
//   return g.cast(g.op("Div", {g.op("Sub", {x64, mean}), scale}), GraphType::f32);
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "emshap/core/export.h"

namespace emshap {

enum class GraphType : std::uint8_t { f32, f64, i64, boolean };

/// Handle on a value of the graph: an input, a constant or the output of a node. An empty name stands for an
/// optional input that is left out.
struct GraphValue {
  std::string name;
};

/// One extent of an input or output: a number, or a name such as "batch" for one known only at run time.
class GraphDim {
 public:
  GraphDim(std::int64_t extent) : value_(extent) {}                    // NOLINT(google-explicit-constructor)
  GraphDim(int extent) : value_(static_cast<std::int64_t>(extent)) {}  // NOLINT(google-explicit-constructor)
  GraphDim(std::string name) : value_(std::move(name)) {}              // NOLINT(google-explicit-constructor)
  GraphDim(const char* name) : value_(std::string(name)) {}            // NOLINT(google-explicit-constructor)
  const std::variant<std::int64_t, std::string>& value() const { return value_; }

 private:
  std::variant<std::int64_t, std::string> value_;
};

/// A finished subgraph (body of Scan or Loop, branch of If) made by GraphWriter::subgraph, for one attribute.
struct GraphBody {
  std::int64_t id = -1;
};

/// One attribute of a node; doubles become ONNX's FLOAT, the only real type that attributes have.
class GraphAttribute {
 public:
  using Value = std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>, std::vector<float>,
                             std::vector<std::string>, GraphBody>;
  using Integers = std::vector<std::int64_t>;
  using Floats = std::vector<float>;
  using Strings = std::vector<std::string>;
  GraphAttribute(std::string name, int v) : name_(std::move(name)), value_(static_cast<std::int64_t>(v)) {}
  GraphAttribute(std::string name, std::int64_t v) : name_(std::move(name)), value_(v) {}
  GraphAttribute(std::string name, float v) : name_(std::move(name)), value_(v) {}
  GraphAttribute(std::string name, double v) : name_(std::move(name)), value_(static_cast<float>(v)) {}
  GraphAttribute(std::string name, const char* v) : name_(std::move(name)), value_(std::string(v)) {}
  GraphAttribute(std::string name, std::string v) : name_(std::move(name)), value_(std::move(v)) {}
  GraphAttribute(std::string name, Integers v) : name_(std::move(name)), value_(std::move(v)) {}
  GraphAttribute(std::string name, Floats v) : name_(std::move(name)), value_(std::move(v)) {}
  GraphAttribute(std::string name, Strings v) : name_(std::move(name)), value_(std::move(v)) {}
  GraphAttribute(std::string name, GraphBody v) : name_(std::move(name)), value_(v) {}
  const std::string& name() const { return name_; }
  const Value& value() const { return value_; }

 private:
  std::string name_;
  Value value_;
};

using GraphValues = std::vector<GraphValue>;
using GraphAttributes = std::vector<GraphAttribute>;
using GraphDims = std::vector<GraphDim>;
using GraphExtents = std::vector<std::int64_t>;

/// Functions throw Error (internal) on misuse: a name given twice, a value count that does not fit the
/// extents.
class EMSHAP_API GraphWriter {
 public:
  virtual ~GraphWriter();

  /// Declares the next input. In the main graph the name is kept as given; in a body it is made unique.
  virtual GraphValue input(std::string_view name, GraphType type, const GraphDims& dims) = 0;
  /// Declares `value` as the next output. In the main graph readers see it as `name`; in a body the name is a
  /// hint.
  virtual void output(const GraphValue& value, std::string_view name, GraphType type,
                      const GraphDims& dims) = 0;

  /// A named initialiser (no extents: a scalar), stored under scope + name exactly: readers find parameters
  /// by these names, so a name given twice is an error. It lives in the main graph, where bodies see it too.
  /// `values` row-major, as many as the product of `extents`.
  virtual GraphValue constant(std::string_view name, const GraphExtents& extents,
                              std::span<const float> values) = 0;
  virtual GraphValue constant(std::string_view name, const GraphExtents& extents,
                              std::span<const double> values) = 0;
  virtual GraphValue constant(std::string_view name, const GraphExtents& extents,
                              std::span<const std::int64_t> values) = 0;

  /// Appends a node with `outputs` results, whose names are made unique from scope and `name` (or the
  /// operator).
  virtual GraphValues node(std::string_view op_type, const GraphValues& inputs, int outputs,
                           const GraphAttributes& attributes = {}, std::string_view name = {}) = 0;

  /// Builds a body: `build` gets a writer on which it declares inputs, nodes and outputs; it may use values
  /// of this graph too. Pass the result as an attribute, e.g. {"body", g.subgraph("step", ...)} of a Scan.
  virtual GraphBody subgraph(std::string_view name, const std::function<void(GraphWriter&)>& build) = 0;

  /// Text stored beside the graph; a key given twice is an error.
  virtual void metadata(std::string_view key, std::string_view value) = 0;

  /// Names from here on start with "name." (nested scopes: "outer.name."); see Scope.
  virtual void push_scope(std::string_view name) = 0;
  virtual void pop_scope() = 0;

  /// A node with one result.
  GraphValue op(std::string_view op_type, const GraphValues& inputs, const GraphAttributes& attributes = {},
                std::string_view name = {});
  /// The same values as another element type.
  GraphValue cast(const GraphValue& value, GraphType type);
  /// Scalars whose name matters to nobody.
  GraphValue scalar(float value);
  GraphValue scalar(double value);
  /// A list of integers, e.g. a shape or axes, whose name matters to nobody.
  GraphValue integers(const std::vector<std::int64_t>& values);

  /// Prefixes names while it lives.
  class Scope {
   public:
    Scope(GraphWriter& writer, std::string_view name) : writer_(writer) { writer_.push_scope(name); }
    ~Scope() { writer_.pop_scope(); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    GraphWriter& writer_;
  };

 protected:
  /// constant() under a name that is made unique.
  virtual GraphValue unnamed_constant(const GraphExtents& extents, std::span<const float> values) = 0;
  virtual GraphValue unnamed_constant(const GraphExtents& extents, std::span<const double> values) = 0;
  virtual GraphValue unnamed_constant(const GraphExtents& extents, std::span<const std::int64_t> values) = 0;
};

/// ONNX's number of an element type (TensorProto.DataType), for attributes such as Cast's "to".
EMSHAP_API std::int64_t graph_type_number(GraphType type);

}  // namespace emshap
