#pragma once
// Matrices of parameters on their way into an attribution graph.
#include <algorithm>
#include <string>
#include <vector>

#include "emshap/data/graph_writer.h"
#include "emshap/layers/parameter_store.h"

namespace emshap::io {

/// Row-major.
struct GraphMatrix {
  std::int64_t rows, cols;
  std::vector<float> v;
  GraphMatrix(std::int64_t r, std::int64_t c) : rows(r), cols(c), v(static_cast<std::size_t>(r * c), 0.f) {}
  float& operator()(std::int64_t r, std::int64_t c) { return v[static_cast<std::size_t>(r * cols + c)]; }
  float operator()(std::int64_t r, std::int64_t c) const { return v[static_cast<std::size_t>(r * cols + c)]; }
  GraphValue write(GraphWriter& graph, const std::string& name) const {
    return graph.constant(name, {rows, cols}, std::span<const float>(v));
  }

  /// Part of a parameter whose rows have `width` entries.
  static GraphMatrix part(const ParameterStore& store, const std::string& name, std::int64_t width,
                          std::int64_t first_row, std::int64_t rows, std::int64_t first_column,
                          std::int64_t columns) {
    const std::vector<double> all = store.get(store.find(name));
    GraphMatrix m(rows, columns);
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < columns; ++c)
        m(r, c) =
            static_cast<float>(all.at(static_cast<std::size_t>((first_row + r) * width + first_column + c)));
    return m;
  }
  static GraphMatrix stacked(const GraphMatrix& a, const GraphMatrix& b) {
    GraphMatrix m(a.rows + b.rows, a.cols);
    std::copy(a.v.begin(), a.v.end(), m.v.begin());
    std::copy(b.v.begin(), b.v.end(), m.v.begin() + static_cast<std::ptrdiff_t>(a.v.size()));
    return m;
  }
  /// With rows of 0 in front of row `at`.
  GraphMatrix with_gap(std::int64_t at, std::int64_t gap) const {
    GraphMatrix m(rows + gap, cols);
    std::copy_n(v.begin(), at * cols, m.v.begin());
    std::copy(v.begin() + at * cols, v.end(), m.v.begin() + (at + gap) * cols);
    return m;
  }
};

inline GraphValue write_list(GraphWriter& graph, const std::string& name, const std::vector<float>& values) {
  return graph.constant(name, {static_cast<std::int64_t>(values.size())}, std::span<const float>(values));
}

}  // namespace emshap::io
