// Operators that combine the entries of a row along some axes: sums, means, extremes, softmax.
#include <fmt/format.h>

#include <cmath>

#include "emshap/core/error.h"
#include "io/foreign_node.h"

namespace emshap::io::foreign {
namespace {

/// Extents of the rest before, along and after a group of neighbouring axes.
struct Around {
  std::int64_t before = 1, extent = 1, after = 1;
};

Around around(const Value& x, std::int64_t first, std::int64_t last) {
  const Dims rest = x.rest();
  Around result;
  for (std::size_t i = 0; i < rest.size(); ++i) {
    const auto axis = static_cast<std::int64_t>(i);
    (axis < first ? result.before : axis > last ? result.after : result.extent) *= rest[i];
  }
  return result;
}

/// The axes that a reduction removes; `since` is the opset from which they are an input.
std::vector<bool> reduced_axes(const Node& node, std::int64_t since, bool* nothing) {
  const Value& x = node.in(0);
  std::optional<Dims> axes;
  if (node.opset() < since)
    axes = node.integer_list("axes");
  else if (node.has(1))
    axes = node.integers(1);
  std::vector<bool> reduced(x.dims.size(), false);
  *nothing = (!axes || axes->empty()) && node.integer("noop_with_empty_axes", 0) != 0;
  if (!axes || axes->empty())
    reduced.assign(x.dims.size(), !*nothing);
  else
    for (const std::int64_t axis : *axes) reduced[n(axis_in(node, axis, x.rank()))] = true;
  if (x.per_row() && reduced[n(x.rows_axis())]) node.fail("would combine the rows of the batch");
  return reduced;
}

/// A reduction: `start`, then `add` for every entry, then `finish` with their count.
template <class Add, class Finish>
void reduce(Node& node, std::int64_t since, double start, const Add& add, const Finish& finish) {
  const Value x = node.in(0);
  node.expect(0, {Element::f32, Element::f64});
  bool nothing = false;
  const std::vector<bool> reduced = reduced_axes(node, since, &nothing);
  const bool keep = node.integer("keepdims", 1) != 0;
  Dims dims, axes;
  std::vector<std::int64_t> step(x.dims.size(), 0);  // of the result, along the axes of x
  std::int64_t results = 1;
  for (std::size_t i = x.dims.size(); i-- > 0;) {
    if (reduced[i] || x.dims[i] == rows_extent) continue;
    step[i] = results;
    results *= x.dims[i];
  }
  Dims rest;
  std::vector<std::int64_t> rest_step;
  for (std::size_t i = 0; i < x.dims.size(); ++i) {
    if (!reduced[i])
      dims.push_back(x.dims[i]);
    else if (keep)
      dims.push_back(1);
    if (reduced[i]) axes.push_back(static_cast<std::int64_t>(i));
    if (x.dims[i] == rows_extent) continue;
    rest.push_back(x.dims[i]);
    rest_step.push_back(step[i]);
  }
  std::vector<std::int32_t> target{0};  // of every entry of x
  for (std::size_t i = 0; i < rest.size(); ++i) {
    std::vector<std::int32_t> wider;
    for (const std::int32_t base : target)
      for (std::int64_t k = 0; k < rest[i]; ++k)
        wider.push_back(base + static_cast<std::int32_t>(k * rest_step[i]));
    target = std::move(wider);
  }
  const std::int64_t size = count(rest);
  if (results == 0 || size == 0) node.fail("combines no entries");
  const int y = node.out(0, x.element, dims);
  const int from = x.storage, to = node.storage(y);
  const double each = static_cast<double>(size / results);
  const auto emit = [&]<class T>(T) {
    node.emit({node.id(0)}, {y}, [=](const Frame& frame) {
      const T* source = frame.get<T>(from);
      T* sums = frame.get<T>(to);
      for (std::int64_t r = 0; r < frame.rows; ++r, source += size, sums += results) {
        if (results == 1) {
          T sum = static_cast<T>(start);
          for (std::int64_t j = 0; j < size; ++j) sum = add(sum, source[j]);
          *sums = finish(sum, static_cast<T>(each));
          continue;
        }
        std::fill_n(sums, results, static_cast<T>(start));
        for (std::int64_t j = 0; j < size; ++j) sums[target[n(j)]] = add(sums[target[n(j)]], source[j]);
        for (std::int64_t k = 0; k < results; ++k) sums[k] = finish(sums[k], static_cast<T>(each));
      }
    });
  };
  x.element == Element::f32 ? emit(float()) : emit(double());
  const std::string op = node.proto().op_type();
  if (nothing)
    node.cannot_write({y});
  else if (op == "ReduceSum")
    node.write(op, {node.id(0), axes}, {y}, {{"keepdims", keep ? 1 : 0}});
  else
    node.write(op, {node.id(0)}, {y}, {{"axes", axes}, {"keepdims", keep ? 1 : 0}});
}

constexpr auto plain = [](auto sum, auto) { return sum; };
constexpr double infinite = std::numeric_limits<double>::infinity();

void reduce_sum(Node& node) {
  reduce(
      node, 13, 0, [](auto a, auto b) { return a + b; }, plain);
}
void reduce_mean(Node& node) {
  reduce(
      node, 18, 0, [](auto a, auto b) { return a + b; }, [](auto sum, auto count) { return sum / count; });
}
void reduce_max(Node& node) {
  reduce(
      node, 18, -infinite, [](auto a, auto b) { return b > a ? b : a; }, plain);
}
void reduce_min(Node& node) {
  reduce(
      node, 18, infinite, [](auto a, auto b) { return b < a ? b : a; }, plain);
}
void reduce_product(Node& node) {
  reduce(
      node, 18, 1, [](auto a, auto b) { return a * b; }, plain);
}
void reduce_l1(Node& node) {
  reduce(
      node, 18, 0, [](auto a, auto b) { return a + std::abs(b); }, plain);
}
void reduce_l2(Node& node) {
  reduce(
      node, 18, 0, [](auto a, auto b) { return a + b * b; }, [](auto sum, auto) { return std::sqrt(sum); });
}
void reduce_squares(Node& node) {
  reduce(
      node, 18, 0, [](auto a, auto b) { return a + b * b; }, plain);
}

/// Against the largest entry where that is finite, so that no exponential overflows.
void reduce_log_sum_exp(Node& node) {
  const Value x = node.in(0);
  node.expect(0, {Element::f32, Element::f64});
  bool nothing = false;
  const std::vector<bool> reduced = reduced_axes(node, 18, &nothing);
  const bool keep = node.integer("keepdims", 1) != 0;
  std::vector<std::int64_t> axes;
  for (std::size_t i = 0; i < reduced.size(); ++i)
    if (reduced[i]) axes.push_back(static_cast<std::int64_t>(i));
  if (axes.size() != 1) node.fail("is supported along one axis only");
  const Around shape = around(x, rest_axis(x, axes[0]), rest_axis(x, axes[0]));
  if (shape.extent < 1) node.fail("combines no entries");
  Dims dims = x.dims;
  dims[n(axes[0])] = 1;
  if (!keep) dims.erase(dims.begin() + axes[0]);
  const int y = node.out(0, x.element, dims);
  const int from = x.storage, to = node.storage(y);
  const auto emit = [&]<class T>(T) {
    node.emit({node.id(0)}, {y}, [=](const Frame& frame) {
      const auto [before, extent, after] = shape;
      T* target = frame.get<T>(to);
      for (std::int64_t r = 0; r < frame.rows * before; ++r)
        for (std::int64_t c = 0; c < after; ++c) {
          const T* source = frame.get<T>(from) + r * extent * after + c;
          T most = source[0], sum = 0;
          for (std::int64_t i = 1; i < extent; ++i) most = std::max(most, source[i * after]);
          if (!std::isfinite(most)) most = 0;
          for (std::int64_t i = 0; i < extent; ++i) sum += std::exp(source[i * after] - most);
          *target++ = most + std::log(sum);
        }
    });
  };
  x.element == Element::f32 ? emit(float()) : emit(double());
  node.write("ReduceLogSumExp", {node.id(0)}, {y}, {{"axes", axes}, {"keepdims", keep ? 1 : 0}});
}

/// Before opset 13 the axes from `axis` on are one; from then on only `axis` counts.
Around softmax_axes(const Node& node) {
  const Value& x = node.in(0);
  const bool old = node.opset() < 13;
  const std::int64_t axis = axis_in(node, node.integer("axis", old ? 1 : -1), x.rank());
  if (x.rows_axis() == axis || (old && x.rows_axis() > axis))
    node.fail("would combine the rows of the batch");
  const std::int64_t own = rest_axis(x, axis);
  return around(x, own, old ? x.rank() : own);
}

template <bool logarithm>
void softmax(Node& node) {
  node.expect(0, {Element::f32, Element::f64});
  const Value x = node.in(0);
  const Around shape = softmax_axes(node);
  const std::int64_t axis = axis_in(node, node.integer("axis", node.opset() < 13 ? 1 : -1), x.rank());
  const int y = node.out(0, x.element, x.dims);
  const int from = x.storage, to = node.storage(y);
  const auto emit = [&]<class T>(T) {
    node.emit({node.id(0)}, {y}, [=](const Frame& frame) {
      const auto [before, extent, after] = shape;
      for (std::int64_t r = 0; r < frame.rows * before; ++r)
        for (std::int64_t c = 0; c < after; ++c) {
          const T* source = frame.get<T>(from) + r * extent * after + c;
          T* target = frame.get<T>(to) + r * extent * after + c;
          T most = source[0], sum = 0;
          for (std::int64_t i = 1; i < extent; ++i) most = std::max(most, source[i * after]);
          for (std::int64_t i = 0; i < extent; ++i)
            sum += target[i * after] = std::exp(source[i * after] - most);
          if constexpr (logarithm)
            for (std::int64_t i = 0; i < extent; ++i)
              target[i * after] = source[i * after] - most - std::log(sum);
          else
            for (std::int64_t i = 0; i < extent; ++i) target[i * after] /= sum;
        }
    });
  };
  if (shape.extent < 1) node.fail("combines no entries");
  x.element == Element::f32 ? emit(float()) : emit(double());
  if (node.opset() >= 13 || axis == x.rank() - 1)
    node.write(node.proto().op_type(), {node.id(0)}, {y}, {{"axis", axis}});
  else
    node.cannot_write({y});
}

template <bool largest>
void arg_extreme(Node& node) {
  node.expect(0, {Element::f32, Element::f64, Element::i64});
  const Value x = node.in(0);
  const std::int64_t axis = axis_in(node, node.integer("axis", 0), x.rank());
  if (x.rows_axis() == axis) node.fail("would combine the rows of the batch");
  const bool keep = node.integer("keepdims", 1) != 0, last = node.integer("select_last_index", 0) != 0;
  Dims dims = x.dims;
  dims[n(axis)] = 1;
  if (!keep) dims.erase(dims.begin() + axis);
  const Around shape = around(x, rest_axis(x, axis), rest_axis(x, axis));
  if (shape.extent < 1) node.fail("combines no entries");
  const int y = node.out(0, Element::i64, dims);
  const int from = x.storage, to = node.storage(y);
  const auto emit = [&]<class T>(T) {
    node.emit({node.id(0)}, {y}, [=](const Frame& frame) {
      const auto [before, extent, after] = shape;
      std::int64_t* target = frame.get<std::int64_t>(to);
      for (std::int64_t r = 0; r < frame.rows * before; ++r)
        for (std::int64_t c = 0; c < after; ++c) {
          const T* source = frame.get<T>(from) + r * extent * after + c;
          std::int64_t best = 0;
          for (std::int64_t i = 1; i < extent; ++i) {
            const T a = source[i * after], b = source[best * after];
            if ((largest ? a > b : a < b) || (last && a == b)) best = i;
          }
          *target++ = best;
        }
    });
  };
  if (x.element == Element::f32) emit(float());
  if (x.element == Element::f64) emit(double());
  if (x.element == Element::i64) emit(std::int64_t());
  node.write(node.proto().op_type(), {node.id(0)}, {y},
             {{"axis", axis}, {"keepdims", keep ? 1 : 0}, {"select_last_index", last ? 1 : 0}});
}

/// The axes from `axis` on, scaled to mean 0 and variance 1, then by constants.
void layer_normalization(Node& node) {
  node.expect(0, {Element::f32});
  const Value x = node.in(0);
  const std::int64_t axis = axis_in(node, node.integer("axis", -1), x.rank());
  if (x.rows_axis() >= axis) node.fail("would combine the rows of the batch");
  const std::int64_t own = rest_axis(x, axis);
  const Around shape = around(x, own, x.rank());
  const std::vector<float> scale = node.constant(1, Element::f32).as<float>();
  std::vector<float> shift(scale.size(), 0);
  if (node.has(2)) shift = node.constant(2, Element::f32).as<float>();
  if (static_cast<std::int64_t>(scale.size()) != shape.extent || shift.size() != scale.size() ||
      scale.empty())
    node.fail(fmt::format("its scale has {} entries, expected {}", scale.size(), shape.extent));
  const double epsilon = static_cast<double>(node.real("epsilon", 1e-5F));
  const int y = node.out(0, Element::f32, x.dims);
  const int from = x.storage, to = node.storage(y);
  node.emit({node.id(0)}, {y}, [=](const Frame& frame) {
    const float* source = frame.get<float>(from);
    float* target = frame.get<float>(to);
    const auto extent = shape.extent;
    for (std::int64_t r = 0; r < frame.rows * shape.before; ++r, source += extent, target += extent) {
      double sum = 0, squares = 0;
      for (std::int64_t j = 0; j < extent; ++j) sum += static_cast<double>(source[j]);
      const double mean = sum / static_cast<double>(extent);
      for (std::int64_t j = 0; j < extent; ++j) {
        const double d = static_cast<double>(source[j]) - mean;
        squares += d * d;
      }
      const double factor = 1 / std::sqrt(squares / static_cast<double>(extent) + epsilon);
      for (std::int64_t j = 0; j < extent; ++j)
        target[j] =
            static_cast<float>((static_cast<double>(source[j]) - mean) * factor) * scale[n(j)] + shift[n(j)];
    }
  });
  node.write_same({{"axis", axis}, {"epsilon", epsilon}});
}

}  // namespace

const std::map<std::string, Lower>& reduce_operators() {
  static const std::map<std::string, Lower> table = {
      {"ReduceSum", reduce_sum},
      {"ReduceMean", reduce_mean},
      {"ReduceMax", reduce_max},
      {"ReduceMin", reduce_min},
      {"ReduceProd", reduce_product},
      {"ReduceL1", reduce_l1},
      {"ReduceL2", reduce_l2},
      {"ReduceSumSquare", reduce_squares},
      {"ReduceLogSumExp", reduce_log_sum_exp},
      {"Softmax", softmax<false>},
      {"LogSoftmax", softmax<true>},
      {"ArgMax", arg_extreme<true>},
      {"ArgMin", arg_extreme<false>},
      {"LayerNormalization", layer_normalization},
  };
  return table;
}

}  // namespace emshap::io::foreign
