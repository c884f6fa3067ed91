#pragma once
#include <cuda_runtime_api.h>

namespace emshap::cuda {

/// Turns a CUDA status other than success into a CudaError that names the call. (In a .cpp file: nvcc cannot
/// read fmt.)
void check(cudaError_t status, const char* call);

}  // namespace emshap::cuda

#define EMSHAP_CUDA_CHECK(call) ::emshap::cuda::check((call), #call)
