#pragma once
// ONNX's (numpy's) broadcasting between values that have a batch axis and constants.
#include <array>

#include "io/foreign_node.h"

namespace emshap::io::foreign {

/// One operand: entry j of row r lies at r * stride + (map empty: j, else map[j]).
struct Operand {
  int value = -1;  ///< constants are expanded first where they are repeated along an axis
  int storage = -1;
  std::int64_t stride = 0;  ///< 0: the same for all rows
  bool single = false;      ///< one entry for all rows and columns
  std::vector<std::int32_t> map;
};

struct Broadcast {
  Dims dims;              ///< of the result
  std::int64_t size = 0;  ///< of the result, per row
  std::vector<Operand> operands;
};

/// Aligns the values, each seen under `shapes` (its own dims, or with axes of extent 1 added). Throws IoError
/// when they do not fit or would mix rows.
Broadcast broadcast(Node& node, const std::vector<int>& values, const std::vector<Dims>& shapes);
Broadcast broadcast(Node& node, const std::vector<int>& values);
/// Indices into a value of extents `from` for every entry of a value of extents `to`; empty when they are
/// the same.
std::vector<std::int32_t> repeat_map(const Dims& from, const Dims& to);

/// y = f(a) over `count` entries.
template <class A, class Y, class F>
void map_entries(std::int64_t count, const A* a, Y* y, const F& f) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = f(a[i]);
}

/// y = f(a, b) over rows of `size` entries.
template <class A, class B, class Y, class F>
void map_entries(std::int64_t rows, std::int64_t size, const Operand& left, const A* a, const Operand& right,
                 const B* b, Y* y, const F& f) {
  if (left.map.empty() && right.map.empty()) {
    if (right.single && left.stride == size) {
      const B value = *b;
      for (std::int64_t i = 0; i < rows * size; ++i) y[i] = f(a[i], value);
      return;
    }
    if (left.single && right.stride == size) {
      const A value = *a;
      for (std::int64_t i = 0; i < rows * size; ++i) y[i] = f(value, b[i]);
      return;
    }
    if (left.stride == size && right.stride == size) size *= rows, rows = 1;
    if (!left.single && !right.single) {
      for (std::int64_t r = 0; r < rows; ++r, a += left.stride, b += right.stride, y += size)
        for (std::int64_t j = 0; j < size; ++j) y[j] = f(a[j], b[j]);
      return;
    }
  }
  const auto at = [](const Operand& operand, std::int64_t j) {
    return operand.single ? 0 : operand.map.empty() ? j : operand.map[n(j)];
  };
  for (std::int64_t r = 0; r < rows; ++r, a += left.stride, b += right.stride, y += size)
    for (std::int64_t j = 0; j < size; ++j) y[j] = f(a[at(left, j)], b[at(right, j)]);
}

}  // namespace emshap::io::foreign
