#pragma once
// Numbers of each step on their way from the device to the host, which looks at them some steps later: loss
// terms, gradient norms. No step waits for the device unless the host is `depth` steps ahead of it. On the
// CPU they are there at once.
#include <array>
#include <cstdint>
#include <vector>

#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"

namespace emshap {

class EMSHAP_API Readback {
 public:
  static constexpr std::int64_t depth = 16;

  Readback() = default;
  ~Readback();
  Readback(const Readback&) = delete;
  Readback& operator=(const Readback&) = delete;

  /// For `count` numbers a step; takes all the memory there will be.
  void reserve(Device device, std::int64_t count);
  /// Posted and not yet taken.
  std::int64_t outstanding() const { return posted_ - taken_; }
  bool full() const { return outstanding() == depth; }
  /// Copies `values` (count), f32 or on the CPU f64, as they will be when the context's work so far is done.
  /// Not within a capture and not when full().
  void post(Context& ctx, ConstTensorView values);
  /// The oldest numbers into `to` (count); false when there are none, or when they have not arrived and
  /// `wait` is false.
  bool take(bool wait, std::vector<double>& to);

 private:
  void release() noexcept;
  Device device_;
  std::int64_t count_ = 0, posted_ = 0, taken_ = 0;
  float* pinned_ = nullptr;             ///< (depth, count) from a GPU
  std::array<void*, depth> arrived_{};  ///< events
  std::vector<double> here_;            ///< (depth, count) on the CPU
};

}  // namespace emshap
