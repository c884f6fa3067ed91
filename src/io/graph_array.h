#pragma once
// Values while a graph is run for verification: numbers of any element type as doubles, rounded to the type
// after each operator. Simple rather than fast.
#include <onnx/onnx_pb.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace emshap::io {

struct Array {
  std::int32_t type = onnx::TensorProto::FLOAT;
  std::vector<std::int64_t> dims;
  std::vector<double> v;  ///< row-major; integers up to 2^53 and truth values 0, 1 are exact

  std::int64_t elements() const { return static_cast<std::int64_t>(v.size()); }
  std::int64_t rank() const { return static_cast<std::int64_t>(dims.size()); }
  /// Zeros.
  static Array zeros(std::int32_t type, std::vector<std::int64_t> dims);
  /// Rounds to the element type.
  void round();
};

/// A negative axis counts from the end. Throws IoError for one out of range.
std::size_t axis_of(const Array& a, std::int64_t axis);
/// Products of the extents before and after an axis.
struct Around {
  std::int64_t before = 1, extent = 1, after = 1;
};
Around around(const Array& a, std::size_t axis);

/// f over two or three arrays with ONNX's (numpy's) broadcasting; `type` of the result. Throws IoError for
/// shapes that do not fit.
Array broadcast(std::int32_t type, const Array& a, const Array& b,
                const std::function<double(double, double)>& f);
Array broadcast(std::int32_t type, const Array& a, const Array& b, const Array& c,
                const std::function<double(double, double, double)>& f);
/// Shapes joined by broadcasting.
std::vector<std::int64_t> joined(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b);

/// a (..., m, k) times b (k, n), or times b (..., k, n) with the same leading extents.
Array product(const Array& a, const Array& b);
Array transposed(const Array& a, const std::vector<std::int64_t>& perm);
/// Entries of `a` along an axis.
Array gathered(const Array& a, const Array& indices, std::size_t axis);
Array concatenated(const std::vector<const Array*>& parts, std::int64_t axis);
/// Entries begin .. end - 1 along an axis.
Array sliced(const Array& a, std::size_t axis, std::int64_t begin, std::int64_t end);
Array summed(const Array& a, std::size_t axis, bool keep);
Array log_softmax(const Array& a, std::size_t axis);
/// One direction of ONNX's GRU with linear_before_reset = 1 and an initial state, as our exports use it: x
/// (T, B, I), w (1, 3H, I), r (1, 3H, H), bias (1, 6H), start (1, B, H), gates z, r, h. Gives y (T, 1, B, H).
Array gru_states(const Array& x, const Array& w, const Array& r, const Array& bias, const Array& start);

}  // namespace emshap::io
