#include "io/foreign_broadcast.h"

#include <fmt/format.h>

namespace emshap::io::foreign {
namespace {

Dims padded(const Dims& dims, std::size_t rank) {
  Dims result(rank - dims.size(), 1);
  result.insert(result.end(), dims.begin(), dims.end());
  return result;
}

/// A constant with its entries repeated.
Constant repeated(const Constant& constant, const std::vector<std::int32_t>& map, Dims dims) {
  Constant result;
  result.dims = std::move(dims);
  std::visit(
      [&](const auto& from) {
        std::remove_cvref_t<decltype(from)> to;
        to.reserve(map.size());
        for (const std::int32_t i : map) to.push_back(from[n(i)]);
        result.data = std::move(to);
      },
      constant.data);
  return result;
}

}  // namespace

std::vector<std::int32_t> repeat_map(const Dims& from_dims, const Dims& to) {
  const Dims from = padded(from_dims, to.size());
  if (from == to) return {};
  std::vector<std::int64_t> steps(to.size(), 0), at(to.size(), 0);
  std::int64_t step = 1;
  for (std::size_t axis = to.size(); axis-- > 0;) {
    if (from[axis] != 1) steps[axis] = step;
    step *= from[axis];
  }
  std::vector<std::int32_t> map;
  map.reserve(n(count(to)));
  std::int64_t offset = 0;
  for (std::int64_t left = count(to); left > 0; --left) {
    map.push_back(static_cast<std::int32_t>(offset));
    for (std::size_t axis = to.size(); axis-- > 0;) {
      offset += steps[axis];
      if (++at[axis] < to[axis]) break;
      offset -= steps[axis] * to[axis];
      at[axis] = 0;
    }
  }
  return map;
}

Broadcast broadcast(Node& node, const std::vector<int>& values) {
  std::vector<Dims> shapes;
  for (const int value : values) shapes.push_back(node.value(value).dims);
  return broadcast(node, values, shapes);
}

Broadcast broadcast(Node& node, const std::vector<int>& values, const std::vector<Dims>& shapes) {
  std::size_t rank = 0;
  for (const Dims& shape : shapes) rank = std::max(rank, shape.size());
  Broadcast result;
  result.dims.assign(rank, 1);
  const auto misfit = [&] {
    std::vector<std::string> texts;
    for (const Dims& shape : shapes) texts.push_back(to_text(shape));
    node.fail(fmt::format("shapes {} do not fit", fmt::join(texts, " and ")));
  };
  for (const Dims& shape : shapes)
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
      std::int64_t& extent = result.dims[rank - shape.size() + axis];
      if (extent == 1)
        extent = shape[axis];
      else if (shape[axis] != 1 && shape[axis] != extent)
        misfit();
    }
  if (std::count(result.dims.begin(), result.dims.end(), rows_extent) > 1)
    node.fail("would combine each row with each other row");
  const auto rows = std::find(result.dims.begin(), result.dims.end(), rows_extent);
  const auto rows_axis = rows - result.dims.begin();
  const bool per_row = rows != result.dims.end();
  Dims rest = result.dims;
  if (per_row) rest.erase(rest.begin() + rows_axis);
  result.size = count(rest);
  for (std::size_t i = 0; i < values.size(); ++i) {
    Dims own = padded(shapes[i], rank);
    if (per_row) own.erase(own.begin() + rows_axis);
    Operand operand;
    operand.value = values[i];
    operand.map = repeat_map(own, rest);
    const Storage& storage = node.plan().storages[n(node.storage(values[i]))];
    if (node.value(values[i]).per_row() || !per_row) {
      operand.stride = storage.size;
    } else if (storage.size == 1) {
      operand.single = true;
      operand.map.clear();
    } else if (!operand.map.empty()) {
      operand.value = node.unnamed(repeated(*storage.constant, operand.map, rest));
      operand.map.clear();
    }
    operand.storage = node.storage(operand.value);
    result.operands.push_back(std::move(operand));
  }
  return result;
}

}  // namespace emshap::io::foreign
