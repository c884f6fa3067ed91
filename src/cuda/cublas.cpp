#include "cuda/cublas.h"

#include <algorithm>

#include <cublas_v2.h>
#include <fmt/format.h>

#include "core/memory.h"
#include "cuda/check.h"
#include "cuda/device_state.h"
#include "emshap/core/error.h"

#define EMSHAP_BACKEND cuda
#include "ops/elementwise_backend.h"

namespace emshap::cuda {
namespace {

void check_blas(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  if (status == CUBLAS_STATUS_ALLOC_FAILED)
    throw CudaError(
        fmt::format("{}: the GPU is out of memory; use a smaller --batch-size or --device cpu", call));
  throw CudaError(fmt::format("{} failed: {}", call, cublasGetStatusString(status)));
}
#define EMSHAP_CUBLAS_CHECK(call) check_blas((call), #call)

}  // namespace

/// A handle on the context's stream, with memory of its own: products then allocate nothing, can be captured
/// in graphs, and do not share their scratch with other streams, which could change the order of sums.
class Blas {
 public:
  explicit Blas(const Context& ctx) : device_(ctx.device()) {
    EMSHAP_CUDA_CHECK(cudaSetDevice(device_.index));
    // What split sums need grows with the number of multiprocessors; on an H100 this is the recommended 32
    // MiB.
    int multiprocessors = 0;
    EMSHAP_CUDA_CHECK(
        cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device_.index));
    const std::int64_t bytes = std::int64_t{multiprocessors} << 18;
    EMSHAP_CUBLAS_CHECK(cublasCreate(&handle_));
    try {
      memory_ = allocate_bytes(bytes, device_);
      // In this order: a new stream takes the memory away.
      EMSHAP_CUBLAS_CHECK(cublasSetStream(handle_, static_cast<cudaStream_t>(ctx.stream())));
      EMSHAP_CUBLAS_CHECK(cublasSetWorkspace(handle_, memory_, static_cast<std::size_t>(bytes)));
      EMSHAP_CUBLAS_CHECK(
          cublasSetMathMode(handle_, cuda_tf32() ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_DEFAULT_MATH));
      EMSHAP_CUBLAS_CHECK(cublasSetAtomicsMode(handle_, CUBLAS_ATOMICS_NOT_ALLOWED));
    } catch (...) {
      end();
      throw;
    }
  }
  ~Blas() { end(); }
  Blas(const Blas&) = delete;
  Blas& operator=(const Blas&) = delete;
  cublasHandle_t handle() const { return handle_; }

 private:
  void end() noexcept {
    (void)cudaSetDevice(device_.index);
    (void)cublasDestroy(handle_);
    free_bytes(memory_, device_);
  }
  Device device_;
  cublasHandle_t handle_ = nullptr;
  void* memory_ = nullptr;
};

void product(Context& ctx, const Operand& a, const Operand& b, bool accumulate, const Mat<float>& c) {
  const std::int64_t inner = a.transposed ? a.mat.rows : a.mat.cols;
  if (c.rows == 0 || c.cols == 0) return;
  if (inner == 0) {
    if (!accumulate) fill<float>(ctx, 0, c);
    return;
  }
  DeviceState& state = device_state(ctx);
  if (!state.blas) state.blas = std::make_shared<Blas>(ctx);
  EMSHAP_CUDA_CHECK(cudaSetDevice(ctx.device().index));

  // cuBLAS reads matrices by columns: what lies here row by row is to it the transpose. C = A B by rows is
  // C^T = B^T A^T by columns, so the operands change places, and rows and columns with them.
  const auto operation = [](const Operand& o) { return o.transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
  const auto leading = [](const auto& m) { return std::max(m.stride, m.cols); };
  const float one = 1, beta = accumulate ? 1.f : 0.f;
  EMSHAP_CUBLAS_CHECK(cublasSgemm_64(state.blas->handle(), operation(b), operation(a), c.cols, c.rows, inner,
                                     &one, b.mat.data, leading(b.mat), a.mat.data, leading(a.mat), &beta,
                                     c.data, leading(c)));
}

}  // namespace emshap::cuda
