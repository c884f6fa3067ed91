#pragma once
// Raw values of either type. Private to the library.
#include <cstdint>

#include "emshap/core/tensor_view.h"

namespace emshap {

/// (N, inputs) as they were given.
class RawRows {
 public:
  explicit RawRows(ConstTensorView raw) : raw_(raw) {}
  double operator()(std::int64_t row, std::int64_t column) const {
    const std::int64_t i = row * raw_.row_stride() + column;
    return raw_.dtype() == DType::f64 ? raw_.ptr<double>()[i] : static_cast<double>(raw_.ptr<float>()[i]);
  }

 private:
  ConstTensorView raw_;
};

}  // namespace emshap
