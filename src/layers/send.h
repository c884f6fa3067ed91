#pragma once
// Tensors that host code writes and ops read: on the CPU one memory, on a GPU a list in host memory that is
// sent.
#include "core/memory.h"
#include "layers/scratch.h"

namespace emshap {

inline bool on_gpu(const Context& ctx) {
  return ctx.device().kind == DeviceKind::cuda;
}

/// Uninitialised, in `host`, a workspace in host memory, until the caller's Workspace::Scope ends.
inline TensorView host_scratch(Workspace& host, Shape shape, DType dtype) {
  return {host.take_bytes(shape.elements() * size_of(dtype)), shape, dtype};
}

/// to = from, from host memory to the context's device, both without gaps; `from` may be written again at
/// once.
inline void send(Context& ctx, ConstTensorView from, TensorView to) {
  copy_bytes(to.data(), ctx.device(), from.data(), from.device(), from.elements() * size_of(from.dtype()));
}

/// A list written here and read there.
class Sent {
 public:
  Sent() = default;
  /// In `host` and, on a GPU, in the context's workspace too.
  Sent(Context& ctx, Workspace& host, Shape shape, DType dtype)
      : here_(on_gpu(ctx) ? host_scratch(host, shape, dtype) : scratch(ctx, shape, dtype)),
        there_(on_gpu(ctx) ? scratch(ctx, shape, dtype) : here_) {}

  template <class T>
  T* ptr() const {
    return here_.ptr<T>();
  }
  const TensorView& there() const { return there_; }
  /// The first n elements; nothing to do on the CPU.
  void send(Context& ctx, std::int64_t n) const {
    if (there_.data() == here_.data() || n == 0) return;
    const auto part = [n](const TensorView& all) {
      return all.reshaped({all.elements()}).columns(0, n).reshaped({n});
    };
    emshap::send(ctx, part(here_), part(there_));
  }

 private:
  TensorView here_, there_;
};

}  // namespace emshap
