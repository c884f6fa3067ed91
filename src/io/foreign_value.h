#pragma once
// Values of a foreign ONNX graph while it is compiled and run. The batch is one axis of a value and is not
// stored in its place: memory holds the rows one after the other, each the value of one row ("rest", all axes
// but the batch). Operators work on the rest, so that no row can depend on another.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "emshap/core/context.h"

namespace emshap::io::foreign {

enum class Element : std::uint8_t { f32, f64, i64, boolean, string };
const char* to_string(Element element);

template <class T>
constexpr Element element_of() {
  if constexpr (std::is_same_v<T, float>) return Element::f32;
  if constexpr (std::is_same_v<T, double>) return Element::f64;
  if constexpr (std::is_same_v<T, std::int64_t>) return Element::i64;
  if constexpr (std::is_same_v<T, std::uint8_t>) return Element::boolean;
  return Element::string;
}

inline std::size_t n(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

/// Extents; rows_extent marks the batch axis.
using Dims = std::vector<std::int64_t>;
inline constexpr std::int64_t rows_extent = -1;
/// Stands for the number of rows where a list of integers is a shape.
inline constexpr std::int64_t rows_count = std::numeric_limits<std::int64_t>::min() + 1;

std::string to_text(const Dims& dims);  ///< "(N, 4)"

/// Values known when the file is read.
struct Constant {
  using Data = std::variant<std::vector<float>, std::vector<double>, std::vector<std::int64_t>,
                            std::vector<std::uint8_t>, std::vector<std::string>>;
  Dims dims;
  Data data;

  Element element() const { return static_cast<Element>(data.index()); }
  std::int64_t elements() const {
    return std::visit([](const auto& v) { return static_cast<std::int64_t>(v.size()); }, data);
  }
  template <class T>
  const std::vector<T>& as() const {
    return std::get<std::vector<T>>(data);
  }
  /// Zeros, or empty strings.
  static Constant zeros(Element element, Dims dims);
  void* memory();
};

/// Memory that one value, or several that differ in shape only, have per row.
struct Storage {
  Element element = Element::f32;
  std::int64_t size = 0;               ///< elements per row, or of the constant
  std::shared_ptr<Constant> constant;  ///< null for what depends on the input
};

/// A named value of the graph.
struct Value {
  std::string name;
  Element element = Element::f32;
  Dims dims;
  int storage = -1;
  bool counts_rows = false;  ///< a constant list of integers that holds rows_count

  std::int64_t rank() const { return static_cast<std::int64_t>(dims.size()); }
  /// Position of the batch axis, -1 for a constant.
  int rows_axis() const {
    const auto found = std::find(dims.begin(), dims.end(), rows_extent);
    return found == dims.end() ? -1 : static_cast<int>(found - dims.begin());
  }
  bool per_row() const { return rows_axis() >= 0; }
  Dims rest() const {
    Dims rest = dims;
    std::erase(rest, rows_extent);
    return rest;
  }
};

/// A tile of rows in flight: memory by storage number.
struct Frame {
  Context& ctx;
  std::int64_t rows;
  void* const* at;
  template <class T>
  T* get(int storage) const {
    return static_cast<T*>(at[storage]);
  }
};

}  // namespace emshap::io::foreign
