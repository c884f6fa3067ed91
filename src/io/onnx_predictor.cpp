#include "emshap/io/onnx_predictor.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "io/foreign_columns.h"
#include "io/foreign_plan.h"

namespace emshap::io {

using foreign::Element;
using foreign::n;

struct OnnxPredictor::Impl {
  std::string file, producer, target;
  foreign::Columns columns;
  std::vector<std::string> classes;
  foreign::Plan plan;
  std::int64_t width = 0, index = 0;  // entries of an output row, and the one that is f

  void fill(const foreign::Frame& frame, const float* raw, std::int64_t stride) const;
};

namespace {

std::string choices(const std::vector<std::string>& classes, std::int64_t width) {
  if (classes.empty()) return fmt::format("an index from 0 to {}", width - 1);
  return fmt::format("one of its classes '{}'", fmt::join(classes, "', '"));
}

/// A class of a file without labels is said by its number.
std::optional<std::int64_t> entry_number(const std::string& text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

template <class T>
T input_value(float v) {
  if constexpr (std::is_same_v<T, std::int64_t>)
    return std::abs(v) < 9e18F ? static_cast<T>(std::llrint(v)) : 0;
  else
    return static_cast<T>(v);
}

template <class T>
void fill_input(T* to, std::int64_t rows, std::int64_t width, const std::int64_t* position, const float* raw,
                std::int64_t stride) {
  for (std::int64_t r = 0; r < rows; ++r, raw += stride)
    for (std::int64_t j = 0; j < width; ++j) *to++ = input_value<T>(raw[position[j]]);
}

}  // namespace

void OnnxPredictor::Impl::fill(const foreign::Frame& frame, const float* raw, std::int64_t stride) const {
  const std::int64_t* position = columns.position.data();
  for (std::size_t i = 0; i < plan.inputs.size(); position += columns.widths[i], ++i) {
    const int storage = plan.inputs[i];
    if (storage < 0) continue;
    const std::int64_t count = columns.widths[i];
    switch (plan.storages[n(storage)].element) {
      case Element::f32:
        fill_input(frame.get<float>(storage), frame.rows, count, position, raw, stride);
        break;
      case Element::f64:
        fill_input(frame.get<double>(storage), frame.rows, count, position, raw, stride);
        break;
      default:
        fill_input(frame.get<std::int64_t>(storage), frame.rows, count, position, raw, stride);
    }
  }
}

OnnxPredictor::OnnxPredictor(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
OnnxPredictor::~OnnxPredictor() = default;
OnnxPredictor::OnnxPredictor(OnnxPredictor&&) noexcept = default;
OnnxPredictor& OnnxPredictor::operator=(OnnxPredictor&&) noexcept = default;

OnnxPredictor OnnxPredictor::load(const std::filesystem::path& path, const OnnxPredictorOptions& options) {
  return parse(read_file(path), path.string(), options);
}

OnnxPredictor OnnxPredictor::parse(std::string_view bytes, const std::string& name,
                                   const OnnxPredictorOptions& options) {
  const auto graph = foreign::ForeignGraph::parse(bytes, name);
  auto impl = std::make_unique<Impl>();
  impl->file = name;
  impl->producer = graph->producer;
  const std::string output = foreign::output_of(*graph, options);
  impl->columns = foreign::columns_of(*graph, options);
  impl->plan = foreign::compile(*graph, output, impl->columns.widths);
  const foreign::Value& value = impl->plan.values[n(impl->plan.output)];
  if (value.element != Element::f32 && value.element != Element::f64)
    throw ConfigError(fmt::format("{}: output '{}' holds {}, expected real numbers", name, output,
                                  foreign::to_string(value.element)));
  impl->width = impl->plan.storages[n(value.storage)].size;
  if (impl->width < 1) throw IoError(fmt::format("{}: output '{}' has no entries", name, output));
  if (static_cast<std::int64_t>(impl->plan.classes.size()) == impl->width) impl->classes = impl->plan.classes;

  std::optional<std::int64_t> index = options.index;
  if (!options.class_name.empty()) {
    const auto found = std::find(impl->classes.begin(), impl->classes.end(), options.class_name);
    if (found != impl->classes.end())
      index = found - impl->classes.begin();
    else
      index = impl->classes.empty() ? entry_number(options.class_name) : std::nullopt;
    if (!index || *index >= impl->width)
      throw ConfigError(fmt::format("{}: output '{}' has no class '{}', expected {}", name, output,
                                    options.class_name, choices(impl->classes, impl->width)));
  }
  if (index) {
    impl->index = *index;
    if (impl->index < 0 || impl->index >= impl->width)
      throw ConfigError(fmt::format("{}: output '{}' has {} entries, index {} is not among them", name,
                                    output, impl->width, impl->index));
  } else if (impl->width == 2 && foreign::is_classifier(*graph)) {
    impl->index = 1;
  } else if (impl->width > 1) {
    throw ConfigError(fmt::format("{}: output '{}' has {} entries, choose {}", name, output, impl->width,
                                  choices(impl->classes, impl->width)));
  }
  impl->target = impl->width == 1        ? output
                 : impl->classes.empty() ? fmt::format("{}[{}]", output, impl->index)
                                         : fmt::format("{}['{}']", output, impl->classes[n(impl->index)]);
  return OnnxPredictor(std::move(impl));
}

std::int64_t OnnxPredictor::inputs() const {
  return static_cast<std::int64_t>(impl_->columns.position.size());
}

void OnnxPredictor::predict(Context& ctx, ConstTensorView raw, TensorView y) const {
  const foreign::Plan& plan = impl_->plan;
  if (raw.cols() != inputs())
    throw ShapeError(
        fmt::format("{}: got rows of {} columns, expected {}", impl_->file, raw.cols(), inputs()));
  if (y.rows() != raw.rows())
    throw ShapeError(fmt::format("{}: got room for {} results, expected {} for as many rows", impl_->file,
                                 y.rows(), raw.rows()));
  if (raw.rows() == 0) return;
  const float* rows = raw.ptr<float>();
  float* results = y.ptr<float>();
  const Workspace::Scope scope(ctx.workspace());
  void** at = ctx.workspace().take<void*>(static_cast<std::int64_t>(plan.storages.size()));
  plan.lay_out(ctx.workspace().take_bytes(plan.scratch()), at);
  const foreign::Value& output = plan.values[n(plan.output)];
  for (std::int64_t begin = 0; begin < raw.rows(); begin += plan.tile()) {
    const foreign::Frame frame{ctx, std::min(plan.tile(), raw.rows() - begin), at};
    impl_->fill(frame, rows + begin * raw.row_stride(), raw.row_stride());
    for (const foreign::Step& step : plan.steps) step.run(frame);
    for (std::int64_t r = 0; r < frame.rows; ++r) {
      const std::int64_t entry = r * impl_->width + impl_->index;
      const float value = output.element == Element::f32
                              ? frame.get<float>(output.storage)[entry]
                              : static_cast<float>(frame.get<double>(output.storage)[entry]);
      if (!std::isfinite(value))
        throw NumericalError(fmt::format("{}: gave {} for row {} of a batch, expected a finite number",
                                         impl_->file, value, begin + r));
      results[(begin + r) * y.row_stride()] = value;
    }
  }
}

const std::vector<std::string>& OnnxPredictor::columns() const {
  return impl_->columns.names;
}
const std::string& OnnxPredictor::file() const {
  return impl_->file;
}
const std::string& OnnxPredictor::producer() const {
  return impl_->producer;
}
const std::string& OnnxPredictor::target() const {
  return impl_->target;
}
const std::vector<std::string>& OnnxPredictor::classes() const {
  return impl_->classes;
}

namespace {

/// Writes a plan's values as they are asked for.
class Writer {
 public:
  Writer(GraphWriter& graph, const foreign::Plan& plan)
      : graph_(graph), plan_(plan), made_(plan.values.size()) {}
  GraphValue& at(int value) { return made_[n(value)]; }
  GraphValue operand(const foreign::Written::Operand& operand) {
    if (const auto* list = std::get_if<std::vector<std::int64_t>>(&operand)) return graph_.integers(*list);
    const int value = std::get<int>(operand);
    if (value < 0) return {};
    if (made_[n(value)].name.empty()) made_[n(value)] = constant(value);
    return made_[n(value)];
  }

 private:
  GraphValue constant(int value) {
    const foreign::Storage& storage = plan_.storages[n(plan_.values[n(value)].storage)];
    const std::string name = fmt::format("constant{}", value);
    const GraphExtents& extents = storage.constant->dims;
    switch (storage.element) {
      case Element::f32:
        return graph_.constant(name, extents, std::span<const float>(storage.constant->as<float>()));
      case Element::f64:
        return graph_.constant(name, extents, std::span<const double>(storage.constant->as<double>()));
      case Element::i64:
        return graph_.constant(name, extents,
                               std::span<const std::int64_t>(storage.constant->as<std::int64_t>()));
      default: {
        const auto& bits = storage.constant->as<std::uint8_t>();
        const std::vector<std::int64_t> numbers(bits.begin(), bits.end());
        return graph_.cast(graph_.constant(name, extents, std::span<const std::int64_t>(numbers)),
                           GraphType::boolean);
      }
    }
  }

  GraphWriter& graph_;
  const foreign::Plan& plan_;
  GraphValues made_;
};

GraphType graph_type(Element element) {
  return element == Element::f32 ? GraphType::f32 : element == Element::f64 ? GraphType::f64 : GraphType::i64;
}

}  // namespace

GraphValue OnnxPredictor::append_to(GraphWriter& graph, const GraphValue& x) const {
  const foreign::Plan& plan = impl_->plan;
  for (const foreign::Written& step : plan.written)
    if (!step.obstacle.empty())
      throw ConfigError(
          fmt::format("{}: {} cannot be part of a graph of standard operators", impl_->file, step.obstacle));
  Writer writer(graph, plan);
  std::int64_t first = 0;
  for (std::size_t i = 0; i < plan.inputs.size(); ++i) {
    const std::int64_t width = impl_->columns.widths[i];
    const std::vector<std::int64_t> columns(impl_->columns.position.begin() + first,
                                            impl_->columns.position.begin() + first + width);
    first += width;
    if (plan.inputs[i] < 0) continue;
    for (std::size_t v = 0; v < plan.values.size(); ++v) {
      const foreign::Value& value = plan.values[v];
      if (value.storage != plan.inputs[i]) continue;
      GraphValue own = x;
      bool whole = width == inputs();
      for (std::size_t j = 0; j < columns.size(); ++j)
        whole = whole && columns[j] == static_cast<std::int64_t>(j);
      if (!whole) own = graph.op("Gather", {x, graph.integers(columns)}, {{"axis", 1}});
      if (value.element == Element::i64) own = graph.op("Round", {own});
      if (value.element != Element::f32) own = graph.cast(own, graph_type(value.element));
      if (value.rank() != 2) own = graph.op("Reshape", {own, graph.integers(value.dims)});
      writer.at(static_cast<int>(v)) = own;
      break;  // the first value of an input's memory is the input itself
    }
  }
  for (const foreign::Written& step : plan.written) {
    GraphValues operands;
    for (const auto& operand : step.inputs) operands.push_back(writer.operand(operand));
    const GraphValues results = step.say(graph, operands);
    for (std::size_t i = 0; i < step.outputs.size(); ++i) writer.at(step.outputs[i]) = results.at(i);
  }
  const foreign::Value& output = plan.values[n(plan.output)];
  GraphValue y = writer.at(plan.output);
  // Rows first, then the entries of a row.
  if (const int rows = output.rows_axis(); rows > 0) {
    std::vector<std::int64_t> order{rows};
    for (std::int64_t axis = 0; axis < output.rank(); ++axis)
      if (axis != rows) order.push_back(axis);
    y = graph.op("Transpose", {y}, {{"perm", order}});
  }
  if (output.rank() != 2 || output.rows_axis() != 0)
    y = graph.op("Reshape", {y, graph.integers({-1, impl_->width})});
  if (impl_->width > 1) y = graph.op("Gather", {y, graph.integers({impl_->index})}, {{"axis", 1}});
  return output.element == Element::f32 ? y : graph.cast(y, GraphType::f32);
}

}  // namespace emshap::io
