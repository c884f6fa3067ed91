// MatMul, Gemm and batch normalisation. A product with a constant takes in a following bias and activation.
#include <fmt/format.h>

#include <cmath>

#include "emshap/core/error.h"
#include "emshap/ops/linear.h"
#include "io/foreign_broadcast.h"
#include "io/foreign_node.h"

namespace emshap::io::foreign {
namespace {

template <class T>
Constant transposed(const Constant& a) {
  Constant result = Constant::zeros(a.element(), {a.dims[1], a.dims[0]});
  auto& to = std::get<std::vector<T>>(result.data);
  for (std::int64_t i = 0; i < a.dims[0]; ++i)
    for (std::int64_t j = 0; j < a.dims[1]; ++j) to[n(j * a.dims[0] + i)] = a.as<T>()[n(i * a.dims[1] + j)];
  return result;
}

template <class T>
void add_product(Node& node, const std::shared_ptr<Linear>& linear, int x, int y) {
  node.emit({x}, {y}, [linear](const Frame& frame) {
    const Linear& p = *linear;
    const DType type = dtype_of<T>();
    const std::int64_t rows = frame.rows * p.repeats;
    const ConstTensorView bias =
        p.bias < 0 ? ConstTensorView() : ConstTensorView(frame.get<T>(p.bias), Shape{p.columns}, type);
    ops::linear_forward(frame.ctx, {frame.get<T>(p.x), Shape{rows, p.inner}, type},
                        {frame.get<T>(p.w), Shape{p.inner, p.columns}, type}, bias, p.activation,
                        {frame.get<T>(p.y), Shape{rows, p.columns}, type});
  });
}

/// Output 0 = x w (+ bias), w (inner, columns) and bias (columns) constants; bias -1 for none.
int product(Node& node, int x, int w, int bias, Dims dims) {
  const Dims extents = node.value(w).dims;
  if (extents[0] < 1 || extents[1] < 1) node.fail(fmt::format("has weights of shape {}", to_text(extents)));
  const Element element = node.value(x).element;
  const int y = node.out(0, element, std::move(dims));
  auto linear = std::make_shared<Linear>();
  *linear = {node.storage(x),
             node.storage(y),
             node.storage(w),
             bias < 0 ? -1 : node.storage(bias),
             node.plan().storages[n(node.storage(x))].size / extents[0],
             extents[0],
             extents[1],
             Activation::identity};
  if (element == Element::f32)
    add_product<float>(node, linear, x, y);
  else
    add_product<double>(node, linear, x, y);
  node.compiler().open_products[node.storage(y)] = linear;
  return y;
}

/// Both sides computed, or constants that are no matrix: small products row by row.
void batched_product(Node& node) {
  const Value a = node.in(0), b = node.in(1);
  const auto misfit = [&] {
    node.fail(
        fmt::format("a product of shapes {} and {} is not supported", to_text(a.dims), to_text(b.dims)));
  };
  if (a.rank() < 2 || b.rank() < 2) misfit();
  const std::int64_t rows = a.dims[n(a.rank() - 2)], inner = a.dims[n(a.rank() - 1)],
                     columns = b.dims[n(b.rank() - 1)];
  if (rows == rows_extent || inner == rows_extent || columns == rows_extent ||
      inner != b.dims[n(b.rank() - 2)])
    misfit();
  // The axes before the matrices are broadcast; entries of a map count matrices.
  Dims left(a.dims.begin(), a.dims.end() - 2), right(b.dims.begin(), b.dims.end() - 2);
  const std::size_t rank = std::max(left.size(), right.size());
  left.insert(left.begin(), rank - left.size(), 1);
  right.insert(right.begin(), rank - right.size(), 1);
  Dims outer, own_left, own_right, rest;
  for (std::size_t i = 0; i < rank; ++i) {
    if (left[i] != right[i] && left[i] != 1 && right[i] != 1) misfit();
    outer.push_back(left[i] == 1 ? right[i] : left[i]);
    if (outer.back() == rows_extent) continue;
    rest.push_back(outer.back());
    own_left.push_back(left[i]);
    own_right.push_back(right[i]);
  }
  if (std::count(outer.begin(), outer.end(), rows_extent) > 1) misfit();
  const std::vector<std::int32_t> map_a = repeat_map(own_left, rest), map_b = repeat_map(own_right, rest);
  const std::int64_t matrices = count(rest);
  Dims dims = outer;
  dims.push_back(rows);
  dims.push_back(columns);
  const int y = node.out(0, a.element, dims);
  const auto stride = [&](const Value& v) {
    return v.per_row() ? node.plan().storages[n(v.storage)].size : std::int64_t{0};
  };
  const std::int64_t stride_a = stride(a), stride_b = stride(b);
  const int to = node.storage(y);
  const auto step = [&]<class T>(T) {
    node.emit({node.id(0), node.id(1)}, {y}, [=](const Frame& frame) {
      T* result = frame.get<T>(to);
      for (std::int64_t r = 0; r < frame.rows; ++r)
        for (std::int64_t m = 0; m < matrices; ++m) {
          const T* p =
              frame.get<T>(a.storage) + r * stride_a + (map_a.empty() ? m : map_a[n(m)]) * rows * inner;
          const T* q =
              frame.get<T>(b.storage) + r * stride_b + (map_b.empty() ? m : map_b[n(m)]) * inner * columns;
          for (std::int64_t i = 0; i < rows; ++i, result += columns) {
            std::fill_n(result, columns, T(0));
            for (std::int64_t k = 0; k < inner; ++k)
              for (std::int64_t j = 0; j < columns; ++j) result[j] += p[i * inner + k] * q[k * columns + j];
          }
        }
    });
  };
  a.element == Element::f32 ? step(float()) : step(double());
  node.write_same();
}

void mat_mul(Node& node) {
  const Value a = node.in(0), b = node.in(1);
  node.expect(0, {Element::f32, Element::f64});
  node.expect(1, {a.element});
  const auto misfit = [&] {
    node.fail(fmt::format("a product of shapes {} and {} does not fit", to_text(a.dims), to_text(b.dims)));
  };
  if (a.rank() < 1 || b.rank() < 1) misfit();
  if (a.per_row() && !b.per_row() && b.rank() == 2 && a.dims.back() != rows_extent) {
    if (a.dims.back() != b.dims[0]) misfit();
    Dims dims = a.dims;
    dims.back() = b.dims[1];
    product(node, node.id(0), node.id(1), -1, dims);
    node.write_same();
  } else if (a.per_row() && b.dims == Dims{a.dims.back()} && a.dims.back() != rows_extent && !b.per_row()) {
    Constant column = *node.plan().storages[n(b.storage)].constant;
    column.dims = {b.dims[0], 1};
    product(node, node.id(0), node.unnamed(std::move(column)), -1, {a.dims.begin(), a.dims.end() - 1});
    node.write_same();
  } else if (!a.per_row() && a.rank() == 2 && b.rank() == 2 && b.dims[1] == rows_extent) {
    if (a.dims[1] != b.dims[0]) misfit();
    const Constant& left = *node.plan().storages[n(a.storage)].constant;
    const int w =
        node.unnamed(a.element == Element::f32 ? transposed<float>(left) : transposed<double>(left));
    product(node, node.id(1), w, -1, {a.dims[0], rows_extent});
    node.write_same();
  } else {
    batched_product(node);
  }
}

template <class T>
void lower_gemm(Node& node) {
  const Value a = node.in(0), b = node.in(1);
  const bool flip_a = node.integer("transA", 0) != 0, flip_b = node.integer("transB", 0) != 0;
  const T alpha = static_cast<T>(node.real("alpha", 1)), beta = static_cast<T>(node.real("beta", 1));
  if (a.rank() != 2 || b.rank() != 2 || b.per_row())
    node.fail(
        fmt::format("a product of shapes {} and {} is not supported", to_text(a.dims), to_text(b.dims)));
  const std::int64_t rows = a.dims[flip_a ? 1 : 0], inner = a.dims[flip_a ? 0 : 1];
  Constant w = *node.plan().storages[n(b.storage)].constant;
  if (flip_b) w = transposed<T>(w);
  if (inner == rows_extent || w.dims[0] != inner)
    node.fail(fmt::format("a product of shapes {} and {} does not fit", to_text(a.dims), to_text(b.dims)));
  for (T& value : std::get<std::vector<T>>(w.data)) value *= alpha;
  const std::int64_t columns = w.dims[1];
  if (!a.per_row()) {  // rare: a constant, so exactness matters more than speed
    Constant left = *node.plan().storages[n(a.storage)].constant;
    if (flip_a) left = transposed<T>(left);
    Constant result = Constant::zeros(a.element, {rows, columns});
    auto& y = std::get<std::vector<T>>(result.data);
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t k = 0; k < inner; ++k)
        for (std::int64_t j = 0; j < columns; ++j)
          y[n(i * columns + j)] += left.as<T>()[n(i * inner + k)] * w.as<T>()[n(k * columns + j)];
    if (node.has(2)) node.fail("adds to a product of constants");
    node.fold(0, std::move(result));
    return;
  }
  int bias = -1;
  if (node.has(2)) {
    node.expect(2, {a.element});
    const Value c = node.in(2);
    Dims shape = c.dims;
    if (node.opset() < 7 && node.integer("broadcast", 0) == 0 && c.rank() != 2)
      node.fail("adds a bias of another shape");
    if (c.per_row() || shape.size() > 2 || (shape.size() == 2 && shape[0] != 1) ||
        (!shape.empty() && shape.back() != 1 && shape.back() != columns))
      node.fail(fmt::format("adds a value of shape {} to {} columns", to_text(c.dims), columns));
    const auto& values = node.plan().storages[n(c.storage)].constant->template as<T>();
    Constant full = Constant::zeros(a.element, {columns});
    for (std::int64_t j = 0; j < columns; ++j)
      std::get<std::vector<T>>(full.data)[n(j)] = beta * values[values.size() == 1 ? 0 : n(j)];
    bias = node.unnamed(std::move(full));
  }
  const int weights = node.unnamed(std::move(w));
  const int y = product(node, node.id(0), weights, bias, {rows_extent, columns});
  if (bias >= 0) node.compiler().open_products[node.storage(y)]->bias = node.storage(bias);
  std::vector<Written::Operand> operands{node.id(0), weights};
  if (bias >= 0) operands.emplace_back(bias);
  node.write("Gemm", std::move(operands), {y}, {{"transA", flip_a ? 1 : 0}});
}

void gemm(Node& node) {
  node.expect(0, {Element::f32, Element::f64});
  node.expect(1, {node.in(0).element});
  node.in(0).element == Element::f32 ? lower_gemm<float>(node) : lower_gemm<double>(node);
}

/// Entries of a vector of `channels` constants, in double.
std::vector<double> channel_values(Node& node, int i, std::int64_t channels) {
  const Constant& constant = node.constant(i, node.in(i).element);
  if (constant.elements() != channels)
    node.fail(fmt::format("its input '{}' has {} entries, expected {} channels", node.proto().input(i),
                          constant.elements(), channels));
  node.expect(i, {Element::f32, Element::f64});
  if (constant.element() == Element::f64) return constant.as<double>();
  return {constant.as<float>().begin(), constant.as<float>().end()};
}

void batch_normalization(Node& node) {
  const Value x = node.in(0);
  node.expect(0, {Element::f32, Element::f64});
  if (node.integer("training_mode", 0) != 0) node.fail("is in training mode");
  if (x.rank() < 2 || x.dims[0] != rows_extent)
    node.fail(fmt::format("its input has shape {}, expected (N, channels ...)", to_text(x.dims)));
  for (int i = 1; i < node.proto().output_size(); ++i)
    if (node.wants(i)) node.fail("gives statistics of the batch");
  const std::int64_t channels = x.dims[1], size = count(x.rest()),
                     inner = channels == 0 ? 1 : size / channels;
  const std::vector<double> scale = channel_values(node, 1, channels),
                            shift = channel_values(node, 2, channels),
                            mean = channel_values(node, 3, channels),
                            variance = channel_values(node, 4, channels);
  const double epsilon = static_cast<double>(node.real("epsilon", 1e-5F));
  const int y = node.out(0, x.element, x.dims);
  const int from = x.storage, to = node.storage(y);
  const auto step = [&]<class T>(T) {
    std::vector<T> factor, offset;
    for (std::int64_t j = 0; j < size; ++j) {
      const auto c = n(j / inner);
      const double f = scale[c] / std::sqrt(variance[c] + epsilon);
      factor.push_back(static_cast<T>(f));
      offset.push_back(static_cast<T>(shift[c] - mean[c] * f));
    }
    node.emit({node.id(0)}, {y}, [=](const Frame& frame) {
      const T* source = frame.get<T>(from);
      T* target = frame.get<T>(to);
      for (std::int64_t r = 0; r < frame.rows; ++r, source += size, target += size)
        for (std::int64_t j = 0; j < size; ++j) target[j] = source[j] * factor[n(j)] + offset[n(j)];
    });
  };
  x.element == Element::f32 ? step(float()) : step(double());
  node.write("BatchNormalization", {node.id(0), node.id(1), node.id(2), node.id(3), node.id(4)}, {y},
             {{"epsilon", epsilon}});
}

}  // namespace

bool fuse_activation(Node& node, Activation activation) {
  Compiler& c = node.compiler();
  const auto open = c.open_products.find(node.storage(node.id(0)));
  if (open == c.open_products.end() || c.uses[node.proto().input(0)] != 1) return false;
  const std::shared_ptr<Linear> linear = open->second;
  node.alias(0, node.id(0), node.in(0).dims);  // closes it
  linear->activation = activation;
  return true;
}

bool fuse_bias(Node& node) {
  Compiler& c = node.compiler();
  if (node.proto().op_type() != "Add" || node.opset() < 7 || node.inputs() != 2) return false;
  for (const int side : {0, 1}) {
    const int x = node.id(side), other = node.id(1 - side);
    const auto open = c.open_products.find(node.storage(x));
    if (open == c.open_products.end() || c.uses[node.proto().input(side)] != 1 || node.value(other).per_row())
      continue;
    const std::shared_ptr<Linear> linear = open->second;
    if (linear->bias >= 0) return false;
    // One entry per column, the last of the axes that are not the batch.
    const Value& bias = node.value(other);
    const Value& y = node.value(x);
    Dims own = bias.dims, rest = y.rest();
    if (own.size() > y.dims.size() || rest.empty() || count(own) == 0) return false;
    own.insert(own.begin(), y.dims.size() - own.size(), 1);
    const auto rows = own.begin() + y.rows_axis();
    if (*rows != 1) return false;
    own.erase(rows);
    for (std::size_t i = 0; i < own.size(); ++i)
      if (own[i] != 1 && (i + 1 != own.size() || own[i] != linear->columns)) return false;
    if (rest.back() != linear->columns) return false;
    const std::vector<float>& values = c.plan.storages[n(bias.storage)].constant->as<float>();
    std::vector<float> full(n(linear->columns));
    for (std::size_t j = 0; j < full.size(); ++j) full[j] = values[values.size() == 1 ? 0 : j];
    Constant constant;
    constant.dims = {linear->columns};
    constant.data = std::move(full);
    const int number = node.unnamed(std::move(constant));
    node.alias(0, x, node.value(x).dims);
    linear->bias = node.storage(number);
    c.open_products[node.storage(x)] = linear;  // an activation may still follow
    return true;
  }
  return false;
}

const std::map<std::string, Lower>& product_operators() {
  static const std::map<std::string, Lower> table = {
      {"MatMul", mat_mul}, {"Gemm", gemm}, {"BatchNormalization", batch_normalization}};
  return table;
}

}  // namespace emshap::io::foreign
