#include "core/staging.h"

#include <algorithm>
#include <vector>

#include "core/cuda_runtime.h"
#include "core/memory.h"
#include "emshap/core/error.h"

namespace emshap {
namespace {

constexpr std::int64_t smallest_block = 64 * 1024;

std::int64_t rounded(std::int64_t bytes) {
  return (bytes + Staging::alignment - 1) / Staging::alignment * Staging::alignment;
}

}  // namespace

/// Memory is a list of blocks, so that what was taken stays where it is when more is needed.
struct Staging::Impl {
  struct Block {
    char* host[2];  ///< on the CPU the first half is all there is
    char* device;
    std::int64_t size, used, sent;
  };
  Device device;
  std::vector<Block> blocks;
  std::size_t block = 0;
  int half = 0;
  void* read[2] = {};          ///< events: the device has read the half
  bool waiting[2] = {};        ///< the event was recorded since the half was last filled
  std::uint64_t begun_in = 0;  ///< number of the capture

  bool on_cpu() const { return device.kind == DeviceKind::cpu; }

  ~Impl() { release(); }

  void wait_for(int which) {
    if (waiting[which] && !cuda_runtime::event_done(read[which])) cuda_runtime::wait_event(read[which]);
    waiting[which] = false;
  }

  void release() noexcept {
    for (int i = 0; i < 2; ++i) {
      if (read[i] == nullptr) continue;
      try {
        wait_for(i);
      } catch (...) {  // the device is lost: nothing reads the memory any more
      }
      cuda_runtime::destroy_event(read[i]);
      read[i] = nullptr;
    }
    for (const Block& b : blocks) {
      free_pinned(b.host[0], device);
      if (on_cpu()) continue;
      free_pinned(b.host[1], device);
      free_bytes(b.device, device);
    }
    blocks.clear();
    block = 0;
  }

  void use(Device other) {
    if (other != device) release();
    device = other;
    if (on_cpu()) return;
    for (void*& event : read)
      if (event == nullptr) event = cuda_runtime::create_event(device.index);
  }

  void grow(std::int64_t bytes) {
    Block b{};
    b.size = std::max({smallest_block, rounded(bytes), blocks.empty() ? 0 : 2 * blocks.back().size});
    blocks.reserve(blocks.size() + 1);
    b.host[0] = static_cast<char*>(allocate_pinned(b.size, device));
    b.device = b.host[0];
    if (!on_cpu()) {
      try {
        b.host[1] = static_cast<char*>(allocate_pinned(b.size, device));
        b.device = static_cast<char*>(allocate_bytes(b.size, device));
      } catch (...) {
        free_pinned(b.host[0], device);
        free_pinned(b.host[1], device);
        throw;
      }
    }
    blocks.push_back(b);
  }

  /// One block of `bytes` instead of several: one copy a step.
  void replace(std::int64_t bytes) {
    const Device kept = device;
    release();
    use(kept);
    grow(bytes);
  }
};

Staging::Staging() : impl_(std::make_unique<Impl>()) {}
Staging::~Staging() = default;
Staging::Staging(Staging&&) noexcept = default;
Staging& Staging::operator=(Staging&&) noexcept = default;

void Staging::reserve(Device device, std::int64_t bytes) {
  impl_->use(device);
  if (bytes > 0 && (impl_->blocks.empty() || impl_->blocks.front().size < rounded(bytes)))
    impl_->replace(bytes);
}

void Staging::begin(Context& ctx) {
  Impl& s = *impl_;
  s.use(ctx.device());
  const std::uint64_t number = cuda_runtime::capture_number();
  if (number != 0 && number == s.begun_in)
    throw Error(ErrorKind::internal,
                "Staging::begin was called twice in one captured step, expected once: its copies are not "
                "done yet");
  s.begun_in = number;
  if (s.blocks.size() > 1 && number == 0) {
    std::int64_t total = 0;
    for (const Impl::Block& b : s.blocks) total += b.size;
    s.replace(total);
  }
  if (!s.on_cpu()) {
    s.half = 1 - s.half;
    s.wait_for(s.half);
  }
  for (Impl::Block& b : s.blocks) b.used = b.sent = 0;
  s.block = 0;
}

Staging::Place Staging::take_bytes(std::int64_t bytes) {
  Impl& s = *impl_;
  const std::int64_t need = rounded(std::max<std::int64_t>(bytes, 1));
  while (s.block < s.blocks.size() && s.blocks[s.block].used + need > s.blocks[s.block].size) ++s.block;
  if (s.block == s.blocks.size()) s.grow(need);
  Impl::Block& b = s.blocks[s.block];
  const Place place{b.host[s.half] + b.used, b.device + b.used};
  b.used += need;
  return place;
}

Staging::Values Staging::take(Shape shape, DType dtype) {
  const Place p = take_bytes(shape.elements() * size_of(dtype));
  return {TensorView(p.host, shape, dtype, Device{}), TensorView(p.device, shape, dtype, impl_->device)};
}

void Staging::send(Context& ctx) {
  Impl& s = *impl_;
  if (s.on_cpu()) return;
  bool any = false;
  for (Impl::Block& b : s.blocks) {
    if (b.used == b.sent) continue;
    cuda_runtime::copy_async(b.device + b.sent, b.host[s.half] + b.sent, b.used - b.sent, ctx.stream());
    b.sent = b.used;
    any = true;
  }
  if (!any) return;
  cuda_runtime::record_event(s.read[s.half], ctx.stream());
  s.waiting[s.half] = true;
}

}  // namespace emshap
