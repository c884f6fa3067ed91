#pragma once
// Values that the host makes for a step of a device: lists of indices, batches, masks. The host fills one
// half of page-locked memory while the device may still read the other; all that was taken travels in one
// asynchronous copy. On the CPU the "copy" is the same memory and send() does nothing.
//
//   staging.begin(ctx);                                  // once a step, before anything is taken
//   const auto index = staging.take<std::int32_t>(n);    // index.host[i] = ..., index.device for ops
//   const auto x = staging.take({rows, cols});           // x.host and x.device are views
//   ... fill what .host points to, completely ...
//   staging.send(ctx);                                   // before the first op that reads them
//
// A step may take and send several times, but begins once: what it took stays as it is until the next begin()
// but one. Inside a captured step (core/step_graph.h) this matters, as the copies are done when the step is
// launched; a second begin() in one capture throws. One object serves one context at a time.
#include <cstdint>
#include <memory>

#include "emshap/core/context.h"
#include "emshap/core/tensor_view.h"

namespace emshap {

class EMSHAP_API Staging {
 public:
  Staging();
  ~Staging();
  Staging(Staging&&) noexcept;
  Staging& operator=(Staging&&) noexcept;

  template <class T>
  struct List {
    T* host;    ///< for the host to write
    T* device;  ///< for ops; on the CPU the same
  };
  struct Values {
    TensorView host, device;
  };

  /// Room for a step that takes `bytes` (each piece rounded up to `alignment`), so that the step itself
  /// allocates nothing. Without it the room grows with the first steps; in a capture it cannot (the step is
  /// then run plainly, see StepGraph). Not within a step.
  void reserve(Device device, std::int64_t bytes);
  static constexpr std::int64_t alignment = 256;

  /// Everything taken before is given back, once the device has read it: waits only when the host is two
  /// steps ahead of the device.
  void begin(Context& ctx);

  /// Uninitialised.
  template <class T>
  List<T> take(std::int64_t count) {
    const Place p = take_bytes(count * static_cast<std::int64_t>(sizeof(T)));
    return {static_cast<T*>(p.host), static_cast<T*>(p.device)};
  }
  Values take(Shape shape, DType dtype = DType::f32);

  /// Copies what was taken since the last send() on the context's stream.
  void send(Context& ctx);

 private:
  struct Place {
    void *host, *device;
  };
  Place take_bytes(std::int64_t bytes);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace emshap
