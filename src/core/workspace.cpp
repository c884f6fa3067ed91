#include <algorithm>

#include "core/memory.h"
#include "emshap/core/context.h"

namespace emshap {
namespace {
constexpr std::int64_t minimum_block = 1 << 20;
}

Workspace::Workspace(Device device) : device_(device) {}

Workspace::~Workspace() {
  for (const Block& b : blocks_) free_bytes(b.data, device_);
}

void* Workspace::take_bytes(std::int64_t bytes) {
  const std::int64_t need = (std::max<std::int64_t>(bytes, 1) + 63) & ~std::int64_t{63};
  while (block_ < blocks_.size() && used_ + need > blocks_[block_].size) {
    ++block_;
    used_ = 0;
  }
  if (block_ == blocks_.size()) {
    const std::int64_t size = std::max({need, minimum_block, blocks_.empty() ? 0 : 2 * blocks_.back().size});
    blocks_.push_back({allocate_bytes(size, device_), size});
    used_ = 0;
  }
  void* p = static_cast<char*>(blocks_[block_].data) + used_;
  used_ += need;
  return p;
}

Workspace::Scope::Scope(Workspace& w) : workspace_(w), block_(w.block_), used_(w.used_) {}

Workspace::Scope::~Scope() {
  workspace_.block_ = block_;
  workspace_.used_ = used_;
}

}  // namespace emshap
