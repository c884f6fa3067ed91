#include "io/foreign_node.h"

#include <fmt/format.h>

#include "emshap/core/error.h"

namespace emshap::io::foreign {
namespace {
constexpr std::int64_t most_elements = std::int64_t{1} << 24;
constexpr std::int64_t most_per_row = std::int64_t{1} << 20;
}  // namespace

const char* to_string(Element element) {
  constexpr const char* names[] = {"float32", "float64", "integers", "bool", "strings"};
  return names[static_cast<std::size_t>(element)];
}

std::string to_text(const Dims& dims) {
  std::vector<std::string> parts;
  for (const std::int64_t extent : dims)
    parts.push_back(extent == rows_extent ? std::string("N") : std::to_string(extent));
  return fmt::format("({})", fmt::join(parts, ", "));
}

Constant Constant::zeros(Element element, Dims dims) {
  const auto count = n(foreign::count(dims));
  Constant constant;
  constant.dims = std::move(dims);
  switch (element) {
    case Element::f32:
      constant.data = std::vector<float>(count);
      break;
    case Element::f64:
      constant.data = std::vector<double>(count);
      break;
    case Element::i64:
      constant.data = std::vector<std::int64_t>(count);
      break;
    case Element::boolean:
      constant.data = std::vector<std::uint8_t>(count);
      break;
    case Element::string:
      constant.data = std::vector<std::string>(count);
      break;
  }
  return constant;
}

void* Constant::memory() {
  return std::visit([](auto& v) { return static_cast<void*>(v.data()); }, data);
}

std::int64_t count(const Dims& dims) {
  std::int64_t product = 1;
  for (const std::int64_t extent : dims) {
    if (extent < 0 || extent > most_elements || product * extent > most_elements)
      throw IoError(fmt::format("a value of shape {} is too large", to_text(dims)));
    product *= extent;
  }
  return product;
}

std::int64_t axis_in(const Node& node, std::int64_t axis, std::int64_t rank) {
  const std::int64_t result = axis < 0 ? axis + rank : axis;
  if (result < 0 || result >= rank)
    node.fail(fmt::format("asks for axis {} of a value with {} axes", axis, rank));
  return result;
}

std::int64_t rest_axis(const Value& value, std::int64_t axis) {
  const int rows = value.rows_axis();
  return rows >= 0 && rows < axis ? axis - 1 : axis;
}

int Node::result(int i) const {
  const auto found =
      i < proto_.output_size() ? compiler_.names.find(proto_.output(i)) : compiler_.names.end();
  if (found == compiler_.names.end()) fail(fmt::format("its output {} has no name", i));
  return found->second;
}

void Node::fail(const std::string& what) const {
  throw IoError(what);
}

int Node::id(int i) const {
  if (!has(i)) fail(fmt::format("its input {} is missing", i));
  const auto found = compiler_.names.find(proto_.input(i));
  if (found == compiler_.names.end())
    fail(fmt::format("its input '{}' is a value that is not supported", proto_.input(i)));
  return found->second;
}

const Constant& Node::constant(int i, Element element) const {
  const Storage& storage = compiler_.plan.storages[n(in(i).storage)];
  if (!storage.constant)
    fail(fmt::format("its input '{}' is computed, expected a constant", proto_.input(i)));
  expect(i, {element});
  return *storage.constant;
}

std::vector<std::int64_t> Node::integers(int i, bool rows) const {
  const std::vector<std::int64_t>& list = constant(i, Element::i64).as<std::int64_t>();
  if (in(i).rank() > 1) fail(fmt::format("its input '{}' is no list", proto_.input(i)));
  if (!rows && in(i).counts_rows) fail("computes with the number of rows");
  return list;
}

void Node::expect(int i, std::initializer_list<Element> elements) const {
  if (std::find(elements.begin(), elements.end(), in(i).element) == elements.end())
    fail(fmt::format("its input '{}' holds {}, expected {}", proto_.input(i), to_string(in(i).element),
                     to_string(*elements.begin())));
}

std::int64_t Node::columns(int i) const {
  const Value& value = in(i);
  if (value.rank() != 2 || value.dims[0] != rows_extent)
    fail(fmt::format("its input '{}' has shape {}, expected (N, columns)", proto_.input(i),
                     to_text(value.dims)));
  return value.dims[1];
}

const onnx::AttributeProto* Node::attribute(const char* name) const {
  for (const auto& a : proto_.attribute())
    if (a.name() == name) return &a;
  return nullptr;
}

namespace {
void expect_type(const Node& node, const onnx::AttributeProto& a, onnx::AttributeProto::AttributeType type) {
  if (a.type() != type && a.type() != onnx::AttributeProto::UNDEFINED)
    node.fail(fmt::format("its attribute '{}' has type {}, expected {}", a.name(),
                          onnx::AttributeProto::AttributeType_Name(a.type()),
                          onnx::AttributeProto::AttributeType_Name(type)));
}
}  // namespace

std::int64_t Node::integer(const char* name, std::int64_t otherwise) const {
  const auto* a = attribute(name);
  if (a == nullptr) return otherwise;
  expect_type(*this, *a, onnx::AttributeProto::INT);
  return a->i();
}

float Node::real(const char* name, float otherwise) const {
  const auto* a = attribute(name);
  if (a == nullptr) return otherwise;
  expect_type(*this, *a, onnx::AttributeProto::FLOAT);
  return a->f();
}

std::string Node::text(const char* name, const std::string& otherwise) const {
  const auto* a = attribute(name);
  if (a == nullptr) return otherwise;
  expect_type(*this, *a, onnx::AttributeProto::STRING);
  return a->s();
}

std::optional<std::vector<std::int64_t>> Node::integer_list(const char* name) const {
  const auto* a = attribute(name);
  if (a == nullptr) return std::nullopt;
  expect_type(*this, *a, onnx::AttributeProto::INTS);
  return std::vector<std::int64_t>(a->ints().begin(), a->ints().end());
}

std::vector<float> Node::reals(const char* name) const {
  const auto* a = attribute(name);
  if (a == nullptr) return {};
  expect_type(*this, *a, onnx::AttributeProto::FLOATS);
  return {a->floats().begin(), a->floats().end()};
}

std::vector<std::string> Node::texts(const char* name) const {
  const auto* a = attribute(name);
  if (a == nullptr) return {};
  expect_type(*this, *a, onnx::AttributeProto::STRINGS);
  return {a->strings().begin(), a->strings().end()};
}

std::optional<Constant> Node::tensor(const char* name) const {
  const auto* a = attribute(name);
  if (a == nullptr) return std::nullopt;
  expect_type(*this, *a, onnx::AttributeProto::TENSOR);
  return constant_of(a->t(), fmt::format("its attribute '{}'", name));
}

int Node::add(std::string name, Element element, Dims dims, int storage) {
  const int number = static_cast<int>(plan().values.size());
  if (!name.empty()) compiler_.names[name] = number;
  if (dims.size() > 8) fail("gives a value of more than 8 axes");
  plan().values.push_back({std::move(name), element, std::move(dims), storage, false});
  return number;
}

int Node::out(int i, Element element, Dims dims) {
  const int storage = static_cast<int>(plan().storages.size());
  const int number =
      add(i < proto_.output_size() ? proto_.output(i) : std::string(), element, std::move(dims), storage);
  const std::int64_t size = count(value(number).rest());
  if (value(number).per_row() && size > most_per_row)
    fail(fmt::format("gives {} numbers for every row, expected at most {}", size, most_per_row));
  plan().storages.push_back({element, size, nullptr});
  return number;
}

int Node::temporary(Element element, Dims dims) {
  return out(proto_.output_size(), element, std::move(dims));
}

int Node::alias(int i, int of, Dims dims) {
  const Element element = value(of).element;
  const bool counts_rows = value(of).counts_rows;
  if (!value(of).per_row()) {  // constants know their own shape
    Constant copy = *plan().storages[n(storage(of))].constant;
    copy.dims = std::move(dims);
    return fold(i, std::move(copy), counts_rows);
  }
  compiler_.open_products.erase(storage(of));  // it may have other readers now
  return add(proto_.output(i), element, std::move(dims), storage(of));
}

int Node::fold(int i, Constant constant, bool counts_rows) {
  if (counts_rows) {  // parts of such a list may be plain numbers again
    const auto* list = std::get_if<std::vector<std::int64_t>>(&constant.data);
    counts_rows = list != nullptr && std::find(list->begin(), list->end(), rows_count) != list->end();
  }
  const int number = unnamed(std::move(constant));
  plan().values[n(number)].counts_rows = counts_rows;
  plan().values[n(number)].name = proto_.output(i);
  compiler_.names[proto_.output(i)] = number;
  return number;
}

int Node::unnamed(Constant constant) {
  const int storage = static_cast<int>(plan().storages.size());
  const Element element = constant.element();
  Dims dims = constant.dims;
  plan().storages.push_back({element, constant.elements(), std::make_shared<Constant>(std::move(constant))});
  return add({}, element, std::move(dims), storage);
}

void Node::emit(const std::vector<int>& reads, const std::vector<int>& writes,
                std::function<void(const Frame&)> run) {
  Step step{std::move(run), {}, {}};
  bool constant = true;
  for (const int number : reads) {
    step.reads.push_back(storage(number));
    constant = constant && !value(number).per_row();
    if (value(number).counts_rows) fail("computes with the number of rows");
  }
  for (const int number : writes) {
    step.writes.push_back(storage(number));
    constant = constant && !value(number).per_row();
  }
  if (!constant) {
    plan().steps.push_back(std::move(step));
    return;
  }
  std::vector<void*> at(plan().storages.size(), nullptr);
  for (const int s : step.reads) at[n(s)] = plan().storages[n(s)].constant->memory();
  for (const int number : writes) {
    Storage& s = plan().storages[n(storage(number))];
    s.constant = std::make_shared<Constant>(Constant::zeros(s.element, value(number).dims));
    at[n(storage(number))] = s.constant->memory();
  }
  step.run(Frame{compiler_.ctx, 1, at.data()});
}

int Node::select(int i, int x, Dims dims, std::vector<std::int32_t> map) {
  const bool per_row = std::find(dims.begin(), dims.end(), rows_extent) != dims.end();
  if (!per_row) {  // moves entries only, so that lists which hold the number of rows pass
    Constant result = Constant::zeros(value(x).element, std::move(dims));
    std::visit(
        [&](auto& to) {
          const auto& from =
              std::get<std::remove_cvref_t<decltype(to)>>(plan().storages[n(storage(x))].constant->data);
          for (std::size_t j = 0; j < map.size(); ++j) to[j] = from[n(map[j])];
        },
        result.data);
    return fold(i, std::move(result), value(x).counts_rows);
  }
  const int y = out(i, value(x).element, std::move(dims));
  const std::int64_t step = value(x).per_row() ? plan().storages[n(storage(x))].size : 0;
  bool run = !map.empty();
  for (std::size_t j = 1; j < map.size(); ++j) run = run && map[j] == map[0] + static_cast<std::int32_t>(j);
  const int from = storage(x), to = storage(y);
  const auto add_step = [&]<class T>(T) {
    emit({x}, {y}, [=, map = std::move(map)](const Frame& frame) {
      const T* source = frame.get<T>(from);
      T* target = frame.get<T>(to);
      const auto size = static_cast<std::int64_t>(map.size());
      for (std::int64_t r = 0; r < frame.rows; ++r, source += step, target += size) {
        if (run)
          std::copy_n(source + map[0], size, target);
        else
          for (std::int64_t j = 0; j < size; ++j) target[j] = source[map[n(j)]];
      }
    });
  };
  switch (value(x).element) {
    case Element::f32:
      add_step(float());
      break;
    case Element::f64:
      add_step(double());
      break;
    case Element::i64:
      add_step(std::int64_t());
      break;
    case Element::boolean:
      add_step(std::uint8_t());
      break;
    case Element::string:
      fail("computes with strings");
  }
  return y;
}

void Node::write(Written::Say say, std::vector<Written::Operand> inputs, std::vector<int> outputs) {
  for (const int number : outputs)
    if (!value(number).per_row()) return;  // folded
  plan().written.push_back({std::move(say), std::move(inputs), std::move(outputs), {}});
}

void Node::write(std::string op_type, std::vector<Written::Operand> inputs, std::vector<int> outputs,
                 GraphAttributes attributes) {
  const int results = static_cast<int>(outputs.size());
  write(
      [op_type = std::move(op_type), attributes = std::move(attributes), results](
          GraphWriter& graph, const GraphValues& in) { return graph.node(op_type, in, results, attributes); },
      std::move(inputs), std::move(outputs));
}

void Node::write_same(GraphAttributes attributes) {
  std::vector<Written::Operand> operands;
  for (int i = 0; i < inputs(); ++i) operands.emplace_back(has(i) ? id(i) : -1);
  write(proto_.op_type(), std::move(operands), {result()}, std::move(attributes));
}

void Node::cannot_write(std::vector<int> outputs) {
  for (const int number : outputs)
    if (!value(number).per_row()) return;
  plan().written.push_back({{}, {}, std::move(outputs), describe(proto_)});
}

}  // namespace emshap::io::foreign
