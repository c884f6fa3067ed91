#pragma once
// Tensors that host code writes and ops read: on the CPU one memory, on a GPU page-locked memory that is sent
// (core/staging.h).
#include <cstring>

#include "core/staging.h"
#include "layers/scratch.h"

namespace emshap {

inline bool on_gpu(const Context& ctx) {
  return ctx.device().kind == DeviceKind::cuda;
}

/// Uninitialised, in `host`, a workspace in host memory, until the caller's Workspace::Scope ends.
inline TensorView host_scratch(Workspace& host, Shape shape, DType dtype) {
  return {host.take_bytes(shape.elements() * size_of(dtype)), shape, dtype};
}

/// A copy of `from`, in host memory, that ops read after the next send of `staging`.
inline ConstTensorView staged(Staging& staging, ConstTensorView from) {
  const Staging::Values to = staging.take(from.shape(), from.dtype());
  const auto size = static_cast<std::size_t>(from.cols() * size_of(from.dtype()));
  for (std::int64_t row = 0; row < from.rows(); ++row)
    std::memcpy(to.host.rows(row, 1).data(), from.rows(row, 1).data(), size);
  return to.device;
}

/// A list written here and read there.
class Sent {
 public:
  Sent() = default;
  /// On the CPU in the context's workspace; on a GPU there is no memory before `take`.
  Sent(Context& ctx, Shape shape, DType dtype)
      : shape_(shape),
        dtype_(dtype),
        here_(on_gpu(ctx) ? TensorView() : scratch(ctx, shape, dtype)),
        there_(here_) {}
  /// On a GPU, before it is written: memory that travels with the next send.
  void take(Staging& staging) {
    const Staging::Values values = staging.take(shape_, dtype_);
    here_ = values.host;
    there_ = values.device;
  }

  template <class T>
  T* ptr() const {
    return here_.ptr<T>();
  }
  const TensorView& there() const { return there_; }

 private:
  Shape shape_{0};
  DType dtype_ = DType::f32;
  TensorView here_, there_;
};

}  // namespace emshap
