#include "cublas_v2.h"

#include <algorithm>
#include <vector>

#include "executor.h"

struct cublasContext {
  cudaStream_t stream = nullptr;
  void* workspace = nullptr;
};

const char* cublasGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "success";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "the library was not initialized";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "the resource allocation failed";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "an unsupported value or parameter was passed to the function";
  }
  return "unknown";
}

/// Like the real one it takes memory of the device, which no stream may be captured meanwhile for.
cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  void* memory = nullptr;
  if (cudaMalloc(&memory, 1024) != cudaSuccess) {
    (void)cudaGetLastError();
    return CUBLAS_STATUS_ALLOC_FAILED;
  }
  (void)cudaFree(memory);
  *handle = new cublasContext;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  handle->workspace = nullptr;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void* memory, std::size_t) {
  if (reinterpret_cast<std::uintptr_t>(memory) % 256 != 0) return CUBLAS_STATUS_INVALID_VALUE;
  handle->workspace = memory;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t) {
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetAtomicsMode(cublasHandle_t, cublasAtomicsMode_t) {
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSgemm_64(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b,
                              std::int64_t m, std::int64_t n, std::int64_t k, const float* alpha,
                              const float* a, std::int64_t lda, const float* b, std::int64_t ldb,
                              const float* beta, float* c, std::int64_t ldc) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  // A stream without memory of its own allocates some while it runs, which a capture refuses.
  if (handle->workspace == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  const bool ta = op_a == CUBLAS_OP_T, tb = op_b == CUBLAS_OP_T;
  const auto least = [](std::int64_t rows) { return std::max<std::int64_t>(1, rows); };
  if (m < 0 || n < 0 || k < 0 || lda < least(ta ? k : m) || ldb < least(tb ? n : k) || ldc < least(m))
    return CUBLAS_STATUS_INVALID_VALUE;
  const float scale = *alpha, keep = *beta;  // read when called, as in the host's pointer mode
  emshap::host_cuda::run_on_stream(handle->stream, "sgemm", [=] {
    // op(A) by columns, once, so that the loop over a column's rows runs through memory.
    std::vector<float> left(static_cast<std::size_t>(m * k));
    for (std::int64_t l = 0; l < k; ++l)
      for (std::int64_t i = 0; i < m; ++i)
        left[static_cast<std::size_t>(l * m + i)] = ta ? a[i * lda + l] : a[l * lda + i];
    std::vector<float> column(static_cast<std::size_t>(m));
    for (std::int64_t j = 0; j < n; ++j) {
      std::fill(column.begin(), column.end(), 0.f);
      for (std::int64_t l = 0; l < k; ++l) {
        const float factor = tb ? b[l * ldb + j] : b[j * ldb + l];
        const float* from = left.data() + l * m;
        for (std::int64_t i = 0; i < m; ++i) column[static_cast<std::size_t>(i)] += from[i] * factor;
      }
      float* to = c + j * ldc;
      for (std::int64_t i = 0; i < m; ++i) {
        const float value = scale * column[static_cast<std::size_t>(i)];
        to[i] = keep == 0 ? value : value + keep * to[i];
      }
    }
  });
  return CUBLAS_STATUS_SUCCESS;
}
