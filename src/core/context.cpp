#include "emshap/core/context.h"

#include <fmt/format.h>

#include "core/cuda_runtime.h"
#include "emshap/core/error.h"

namespace emshap {

Context::Context(Device device)
    : device_(device),
      backend_(device.kind == DeviceKind::cuda ? Backend::cuda : cpu_backend()),
      workspace_(device) {
  if (device.kind == DeviceKind::cuda) stream_ = cuda_runtime::create_stream(device.index);
}

Context::Context(Backend backend) : backend_(backend) {
  if (!cpu_backend_available(backend))
    throw ConfigError(fmt::format("CPU level {} is not available on this processor", to_string(backend)));
}

Context::~Context() {
  try {
    synchronize();  // memory that it gives back must not be in use
  } catch (...) {   // the device is lost
  }
  device_state_.reset();
  if (stream_ != nullptr) cuda_runtime::destroy_stream(stream_);
}

ShardPlan Context::plan(std::int64_t rows) const {
  if (!in_team_) return ShardPlan::make(rows, 0, 1);
  if (rows == batch_.local_rows) return batch_;
  if (batch_.local_rows == 0 || rows % batch_.local_rows != 0)
    throw ShapeError(
        fmt::format("an op got {} rows, expected a multiple of the {} rows that this team member owns", rows,
                    batch_.local_rows));
  return batch_.times(rows / batch_.local_rows);
}

void Context::synchronize() {
  if (stream_ != nullptr) cuda_runtime::synchronize(stream_);
}

}  // namespace emshap
