#include "core/readback.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/cuda_runtime.h"
#include "core/memory.h"
#include "emshap/core/error.h"

namespace emshap {

Readback::~Readback() {
  release();
}

void Readback::release() noexcept {
  try {
    if (pinned_ != nullptr && outstanding() > 0)
      cuda_runtime::wait_event(arrived_[static_cast<std::size_t>((posted_ - 1) % depth)]);
  } catch (...) {  // the device is lost: nothing writes to the memory any more
  }
  for (void*& event : arrived_) {
    if (event != nullptr) cuda_runtime::destroy_event(event);
    event = nullptr;
  }
  free_pinned(pinned_, device_);
  pinned_ = nullptr;
  taken_ = posted_;
}

void Readback::reserve(Device device, std::int64_t count) {
  release();
  device_ = device;
  count_ = count;
  if (device.kind == DeviceKind::cpu) {
    here_.assign(static_cast<std::size_t>(depth * count), 0.0);
    return;
  }
  pinned_ =
      static_cast<float*>(allocate_pinned(depth * count * static_cast<std::int64_t>(sizeof(float)), device));
  for (void*& event : arrived_) event = cuda_runtime::create_event(device.index);
}

void Readback::post(Context& ctx, ConstTensorView values) {
  if (values.elements() != count_ || full())
    throw Error(ErrorKind::internal,
                fmt::format("Readback::post got {} numbers, expected {} and room for them", values.elements(),
                            count_));
  const std::int64_t slot = posted_ % depth;
  if (device_.kind == DeviceKind::cpu) {
    double* to = here_.data() + slot * count_;
    if (values.dtype() == DType::f64)
      std::copy_n(values.ptr<double>(), count_, to);
    else
      std::copy_n(values.ptr<float>(), count_, to);
  } else {
    values.ptr<float>();  // f32: else an error
    cuda_runtime::copy_async(pinned_ + slot * count_, values.data(),
                             count_ * static_cast<std::int64_t>(sizeof(float)), ctx.stream());
    cuda_runtime::record_event(arrived_[static_cast<std::size_t>(slot)], ctx.stream());
  }
  ++posted_;
}

bool Readback::take(bool wait, std::vector<double>& to) {
  if (outstanding() == 0) return false;
  const std::int64_t slot = taken_ % depth;
  to.resize(static_cast<std::size_t>(count_));
  if (device_.kind == DeviceKind::cpu) {
    std::copy_n(here_.data() + slot * count_, count_, to.data());
  } else {
    void* const event = arrived_[static_cast<std::size_t>(slot)];
    if (!cuda_runtime::event_done(event)) {
      if (!wait) return false;
      cuda_runtime::wait_event(event);
    }
    std::copy_n(pinned_ + slot * count_, count_, to.data());
  }
  ++taken_;
  return true;
}

}  // namespace emshap
