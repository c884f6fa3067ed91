#include "emshap/io/onnx_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "emshap/core/error.h"
#include "io/graph_array.h"
#include "io/onnx_message.h"
#include "io/onnx_operators.h"

namespace emshap::io {
namespace {

using Type = onnx::TensorProto;

/// The values of a graph that runs; a body sees those of the graphs around it.
struct Frame {
  const Frame* outer = nullptr;
  std::unordered_map<std::string, Array> values;

  const Array* find(const std::string& name) const {
    for (const Frame* frame = this; frame != nullptr; frame = frame->outer)
      if (const auto found = frame->values.find(name); found != frame->values.end()) return &found->second;
    return nullptr;
  }
};

class Runner {
 public:
  explicit Runner(std::string file) : file_(std::move(file)) {}

  /// Runs the nodes; the graph's outputs stay in the frame.
  void run(const onnx::GraphProto& graph, Frame& frame) {
    const Readers& last = last_readers(graph);
    for (const onnx::NodeProto& node : graph.node()) {
      try {
        run_node(node, frame);
      } catch (const EmbeddedError&) {
        throw;
      } catch (const std::exception& error) {
        throw EmbeddedError(
            fmt::format("{}: node '{}' ({}): {}", file_, node.name(), node.op_type(), error.what()));
      }
      // Values go with their last reader: an unrolled graph would keep a matrix for each of its steps.
      const auto forget = [&](const auto& names) {
        for (const std::string& name : names)
          if (const auto found = last.find(name); found != last.end() && found->second == &node)
            frame.values.erase(name);
      };
      forget(node.input());
      forget(node.output());
    }
  }

 private:
  using Readers = std::unordered_map<std::string, const onnx::NodeProto*>;
  /// Names its node already.
  struct EmbeddedError : IoError {
    using IoError::IoError;
  };

  static void add_reader(const onnx::GraphProto& graph, const onnx::NodeProto* reader, Readers& last) {
    for (const onnx::NodeProto& node : graph.node()) {
      for (const std::string& name : node.input()) last[name] = reader != nullptr ? reader : &node;
      for (const auto& attribute : node.attribute())
        if (attribute.has_g()) add_reader(attribute.g(), reader != nullptr ? reader : &node, last);
      if (reader != nullptr) continue;
      for (const std::string& name : node.output()) last.emplace(name, &node);  // of values nobody reads
    }
  }
  const Readers& last_readers(const onnx::GraphProto& graph) {
    const auto [entry, fresh] = last_.try_emplace(&graph);
    if (fresh) {
      add_reader(graph, nullptr, entry->second);
      for (const auto& output : graph.output()) entry->second.erase(output.name());
    }
    return entry->second;
  }

  void run_node(const onnx::NodeProto& node, Frame& frame) {
    Call call{node, {}, {}};
    for (const std::string& name : node.input()) {
      call.in.push_back(name.empty() ? nullptr : frame.find(name));
      if (!name.empty() && call.in.back() == nullptr)
        throw IoError(fmt::format("there is no value '{}'", name));
    }
    if (node.op_type() == "Scan") {
      scan(call, frame);
    } else {
      const Operator run_operator = find_operator(node.op_type());
      if (run_operator == nullptr) throw IoError("the operator is not supported");
      run_operator(call);
    }
    for (int i = 0; i < node.output_size(); ++i)
      if (!node.output(i).empty())
        frame.values[node.output(i)] = std::move(call.out.at(static_cast<std::size_t>(i)));
  }

  /// Along axis 0, forwards.
  void scan(Call& call, const Frame& outer) {
    for (const char* name :
         {"scan_input_axes", "scan_input_directions", "scan_output_axes", "scan_output_directions"})
      if (call.attribute(name) != nullptr)
        throw IoError(fmt::format("attribute '{}' is not supported", name));
    const onnx::AttributeProto* body = call.attribute("body");
    const auto inputs = static_cast<std::size_t>(call.integer("num_scan_inputs", 0));
    if (body == nullptr || inputs < 1 || inputs > call.in.size() ||
        body->g().input_size() != static_cast<int>(call.in.size()))
      throw IoError("body and inputs do not fit together");
    const onnx::GraphProto& graph = body->g();
    const std::size_t states = call.in.size() - inputs;
    std::vector<Array> state;
    for (std::size_t i = 0; i < states; ++i) state.push_back(call.at(i));
    const std::int64_t length = call.at(states).dims.at(0);
    std::vector<Array> stacked(static_cast<std::size_t>(graph.output_size()) - states);
    for (std::int64_t step = 0; step < length; ++step) {
      Frame frame{&outer, {}};
      for (std::size_t i = 0; i < call.in.size(); ++i)
        frame.values[graph.input(static_cast<int>(i)).name()] =
            i < states ? std::move(state[i]) : entry(call.at(i), step);
      run(graph, frame);
      for (std::size_t i = 0; i < states + stacked.size(); ++i) {
        const auto found = frame.values.find(graph.output(static_cast<int>(i)).name());
        if (found == frame.values.end()) throw IoError("the body does not give all of its outputs");
        if (i < states)
          state[i] = std::move(found->second);
        else
          append(stacked[i - states], found->second);
      }
    }
    call.out = std::move(state);
    for (Array& list : stacked) call.out.push_back(std::move(list));
  }
  static Array entry(const Array& list, std::int64_t step) {
    Array out = sliced(list, 0, step, step + 1);
    out.dims.erase(out.dims.begin());
    return out;
  }
  static void append(Array& list, const Array& entry) {
    if (list.dims.empty()) {
      list.type = entry.type;
      list.dims = entry.dims;
      list.dims.insert(list.dims.begin(), 0);
    }
    ++list.dims[0];
    list.v.insert(list.v.end(), entry.v.begin(), entry.v.end());
  }

  const std::string file_;
  std::unordered_map<const onnx::GraphProto*, Readers> last_;
};

Array from_tensor(const ConstTensorView& view) {
  Array a{Type::FLOAT, {view.rows(), view.cols()}, {}};
  for (std::int64_t r = 0; r < view.rows(); ++r)
    for (std::int64_t c = 0; c < view.cols(); ++c)
      a.v.push_back(static_cast<double>(view.ptr<float>()[r * view.row_stride() + c]));
  return a;
}

Shape shape_of(const std::vector<std::int64_t>& dims) {
  switch (dims.size()) {
    case 0:
      return {};
    case 1:
      return {dims[0]};
    case 2:
      return {dims[0], dims[1]};
    case 3:
      return {dims[0], dims[1], dims[2]};
    default:
      return {dims.at(0), dims.at(1), dims.at(2), dims.at(3)};
  }
}

}  // namespace

std::map<std::string, Tensor> run_onnx(const OnnxModel& model,
                                       const std::map<std::string, ConstTensorView>& inputs) {
  Frame frame;
  auto& values = frame.values;
  for (const OnnxTensor& tensor : model.initialisers()) {
    Array a{Type::FLOAT, tensor.extents, {}};
    const auto read = [&]<class T>(std::int32_t type, T) {
      const std::vector<T> stored = model.values<T>(tensor.name);
      a.type = type;
      a.v.assign(stored.begin(), stored.end());
    };
    if (tensor.type == "float32") read(Type::FLOAT, float{});
    if (tensor.type == "float64") read(Type::DOUBLE, double{});
    if (tensor.type == "int64") read(Type::INT64, std::int64_t{});
    values[tensor.name] = std::move(a);
  }
  for (const OnnxValue& input : model.inputs()) {
    const auto given = inputs.find(input.name);
    if (given == inputs.end())
      throw ConfigError(fmt::format("{}: input '{}' is not given", model.file(), input.name));
    values[input.name] = from_tensor(given->second);
  }
  Runner(model.file()).run(OnnxMessage::of(model).graph(), frame);
  std::map<std::string, Tensor> outputs;
  for (const OnnxValue& output : model.outputs()) {
    const auto found = values.find(output.name);
    if (found == values.end() || found->second.type != Type::FLOAT || found->second.rank() > Shape::max_rank)
      throw IoError(fmt::format("{}: output '{}' is no float32 array", model.file(), output.name));
    const Array& a = found->second;
    Tensor tensor(shape_of(a.dims));
    std::transform(a.v.begin(), a.v.end(), tensor.ptr<float>(),
                   [](double value) { return static_cast<float>(value); });
    outputs.emplace(output.name, std::move(tensor));
  }
  return outputs;
}

}  // namespace emshap::io
