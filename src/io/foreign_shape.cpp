// Shapes: reading them, giving values new ones, repeating values. Nothing computes, so that lists which hold
// the number of rows (parts of a shape) pass through.
#include <fmt/format.h>

#include "emshap/core/error.h"
#include "io/foreign_broadcast.h"
#include "io/foreign_node.h"

namespace emshap::io::foreign {
namespace {

void reshaped(Node& node, Dims dims) {
  const Value& x = node.in(0);
  if (!x.per_row()) {
    if (count(dims) != count(x.dims))
      node.fail(fmt::format("shape {} does not fit {}", to_text(dims), to_text(x.dims)));
  } else {
    // Only where the same entries stand before the batch axis does a row stay a row.
    const auto before = [](const Dims& d) {
      return Dims(d.begin(), std::find(d.begin(), d.end(), rows_extent));
    };
    Dims rest = dims;
    std::erase(rest, rows_extent);
    if (rest.size() + 1 != dims.size() || count(rest) != count(x.rest()) ||
        count(before(dims)) != count(before(x.dims)))
      node.fail(fmt::format("from shape {} to {} rows would not stay rows", to_text(x.dims), to_text(dims)));
  }
  node.alias(0, node.id(0), dims);
  static_assert(rows_extent == -1);  // which Reshape fills in
  node.write("Reshape", {node.id(0), dims}, {node.result()});
}

void reshape(Node& node) {
  const Value& x = node.in(0);
  const Dims list = node.opset() < 5 ? node.integer_list("shape").value_or(Dims{}) : node.integers(1, true);
  const bool allow_zero = node.integer("allowzero", 0) != 0;
  Dims dims;
  int open = -1;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i] == rows_count) {
      dims.push_back(rows_extent);
    } else if (list[i] == -1) {
      if (open >= 0) node.fail("its shape has two extents of -1");
      open = static_cast<int>(i);
      dims.push_back(1);
    } else if (list[i] == 0 && !allow_zero) {
      if (i >= x.dims.size()) node.fail("its shape copies an axis that the input does not have");
      dims.push_back(x.dims[i]);
    } else if (list[i] < 0) {
      node.fail(fmt::format("its shape has an extent of {}", list[i]));
    } else {
      dims.push_back(list[i]);
    }
  }
  const auto others = [&] {
    Dims rest = dims;
    std::erase(rest, rows_extent);
    return count(rest);
  };
  const std::int64_t size = count(x.rest());
  const auto has_rows = [&] { return std::find(dims.begin(), dims.end(), rows_extent) != dims.end(); };
  if (x.per_row() && !has_rows()) {
    // The batch is written as a number: -1 where the rest is complete, or the extent that the file gives it.
    const std::int64_t fixed = node.compiler().graph.fixed_rows();
    if (open >= 0 && others() == size) {
      dims[n(open)] = rows_extent;
      open = -1;
    } else if (fixed > 0) {
      std::int64_t before = 1, wanted = 1;
      for (int axis = 0; axis < x.rows_axis(); ++axis) wanted *= x.dims[n(axis)];
      for (std::size_t axis = 0; axis < dims.size() && static_cast<int>(axis) != open; ++axis) {
        if (dims[axis] == fixed && before == wanted) {
          dims[axis] = rows_extent;
          break;
        }
        before *= dims[axis];
      }
    }
    if (!has_rows())
      node.fail(fmt::format("from shape {} to ({}) rows would not stay rows", to_text(x.dims),
                            fmt::join(list, ", ")));
  }
  if (open >= 0) {
    const std::int64_t rest = others();
    if (rest == 0 || size % rest != 0)
      node.fail(fmt::format("shape ({}) does not fit {}", fmt::join(list, ", "), to_text(x.dims)));
    dims[n(open)] = size / rest;
  }
  reshaped(node, dims);
}

void flatten(Node& node) {
  const Value& x = node.in(0);
  std::int64_t axis = node.integer("axis", 1);
  if (axis != x.rank()) axis = axis_in(node, axis, x.rank());
  Dims dims{1, 1};
  for (std::int64_t i = 0; i < x.rank(); ++i) {
    std::int64_t& side = dims[i < axis ? 0 : 1];
    const std::int64_t extent = x.dims[n(i)];
    if ((extent == rows_extent && side != 1) || (side == rows_extent && extent != 1))
      node.fail(fmt::format("joins the rows of shape {} with another axis", to_text(x.dims)));
    side = extent == 1 ? side : side == rows_extent ? side : side * extent;
  }
  reshaped(node, dims);
}

/// Axes as an attribute before opset `since`, as input 1 from then on.
std::optional<Dims> axes_of(const Node& node, std::int64_t since) {
  if (node.opset() < since) return node.integer_list("axes");
  if (!node.has(1)) return std::nullopt;
  return node.integers(1);
}

void squeeze(Node& node) {
  const Value& x = node.in(0);
  std::vector<bool> drop(x.dims.size(), false);
  if (const auto axes = axes_of(node, 13)) {
    for (const std::int64_t axis : *axes) drop[n(axis_in(node, axis, x.rank()))] = true;
  } else {
    for (std::size_t i = 0; i < drop.size(); ++i) drop[i] = x.dims[i] == 1;
  }
  Dims dims;
  for (std::size_t i = 0; i < drop.size(); ++i) {
    if (!drop[i]) dims.push_back(x.dims[i]);
    if (drop[i] && x.dims[i] != 1)
      node.fail(fmt::format("axis {} of shape {} has not extent 1", i, to_text(x.dims)));
  }
  reshaped(node, dims);
}

void unsqueeze(Node& node) {
  const Value& x = node.in(0);
  const auto axes = axes_of(node, 13);
  if (!axes) node.fail("its axes are missing");
  const std::int64_t rank = x.rank() + static_cast<std::int64_t>(axes->size());
  std::vector<bool> fresh(n(rank), false);
  for (const std::int64_t axis : *axes) {
    const std::size_t at = n(axis_in(node, axis, rank));
    if (fresh[at]) node.fail(fmt::format("its axis {} is there twice", axis));
    fresh[at] = true;
  }
  Dims dims;
  std::size_t next = 0;
  for (std::size_t i = 0; i < fresh.size(); ++i) dims.push_back(fresh[i] ? 1 : x.dims[next++]);
  reshaped(node, dims);
}

void shape(Node& node) {
  const Value& x = node.in(0);
  const std::int64_t rank = x.rank();
  const auto at = [&](std::int64_t i) { return std::clamp<std::int64_t>(i < 0 ? i + rank : i, 0, rank); };
  const std::int64_t begin = at(node.integer("start", 0)), end = at(node.integer("end", rank));
  Dims list;
  bool rows = false;
  for (std::int64_t i = begin; i < end; ++i) {
    list.push_back(x.dims[n(i)] == rows_extent ? rows_count : x.dims[n(i)]);
    rows = rows || list.back() == rows_count;
  }
  Constant constant;
  constant.dims = {static_cast<std::int64_t>(list.size())};
  constant.data = std::move(list);
  node.fold(0, std::move(constant), rows);
}

void constant(Node& node) {
  Constant value;
  if (auto tensor = node.tensor("value")) {
    value = std::move(*tensor);
  } else if (node.attribute("value_float") != nullptr) {
    value.data = std::vector<float>{node.real("value_float", 0)};
  } else if (node.attribute("value_int") != nullptr) {
    value.data = std::vector<std::int64_t>{node.integer("value_int", 0)};
  } else if (node.attribute("value_floats") != nullptr) {
    value.data = node.reals("value_floats");
    value.dims = {value.elements()};
  } else if (auto integers = node.integer_list("value_ints")) {
    value.data = *integers;
    value.dims = {value.elements()};
  } else if (node.attribute("value_strings") != nullptr) {
    value.data = node.texts("value_strings");
    value.dims = {value.elements()};
  } else {
    node.fail("holds no dense values");
  }
  node.fold(0, std::move(value));
}

/// Repeats `x` into dims that may have the batch where x has not.
void repeat_into(Node& node, int x, Dims dims) {
  Dims own = node.value(x).dims, rest = dims;
  own.insert(own.begin(), dims.size() - own.size(), 1);
  for (std::size_t i = dims.size(); i-- > 0;)
    if (dims[i] == rows_extent) {
      own.erase(own.begin() + static_cast<std::ptrdiff_t>(i));
      rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i));
    }
  std::vector<std::int32_t> map = repeat_map(own, rest);
  if (map.empty())
    for (std::int64_t j = 0; j < count(rest); ++j) map.push_back(static_cast<std::int32_t>(j));
  node.select(0, x, std::move(dims), std::move(map));
}

Dims extents_of(const Node& node, int input) {
  Dims dims = node.integers(input, true);
  for (std::int64_t& extent : dims) {
    if (extent == rows_count)
      extent = rows_extent;
    else if (extent < 0)
      node.fail(fmt::format("its shape has an extent of {}", extent));
  }
  if (std::count(dims.begin(), dims.end(), rows_extent) > 1) node.fail("has the batch as two axes");
  return dims;
}

void expand(Node& node) {
  const Value x = node.in(0);
  const Dims target = extents_of(node, 1);
  Dims dims(std::max(target.size(), x.dims.size()), 1);
  for (const Dims* side : {&x.dims, &target})
    for (std::size_t i = 0; i < side->size(); ++i) {
      std::int64_t& extent = dims[dims.size() - side->size() + i];
      const std::int64_t own = (*side)[i];
      if (extent == 1)
        extent = own;
      else if (own != 1 && own != extent)
        node.fail(fmt::format("shapes {} and {} do not fit", to_text(x.dims), to_text(target)));
    }
  if (std::count(dims.begin(), dims.end(), rows_extent) > 1) node.fail("has the batch as two axes");
  repeat_into(node, node.id(0), dims);
  if (target == dims && x.per_row())
    node.write("Expand", {node.id(0), Dims(target)}, {node.result()});
  else
    node.cannot_write({node.result()});
}

void constant_of_shape(Node& node) {
  const Dims dims = extents_of(node, 0);
  Constant value = node.tensor("value").value_or(Constant::zeros(Element::f32, {1}));
  if (value.elements() != 1) node.fail("its value has not one entry");
  value.dims.clear();
  repeat_into(node, node.unnamed(std::move(value)), dims);
  node.cannot_write({node.result()});
}

}  // namespace

const std::map<std::string, Lower>& shape_operators() {
  static const std::map<std::string, Lower> table = {
      {"Reshape", reshape}, {"Flatten", flatten},
      {"Squeeze", squeeze}, {"Unsqueeze", unsqueeze},
      {"Shape", shape},     {"Constant", constant},
      {"Expand", expand},   {"ConstantOfShape", constant_of_shape},
  };
  return table;
}

}  // namespace emshap::io::foreign
