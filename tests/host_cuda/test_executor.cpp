// The executor itself: what it must run, and what it must refuse.
#include <doctest/doctest.h>

#include <cmath>
#include <stdexcept>
#include <vector>

#include "cublas_v2.h"
#include "executor.h"
// NOLINTNEXTLINE: what kernels see
#include "cuda_runtime.h"

using namespace emshap::host_cuda;

namespace {

/// Ends the capture and launches its graph twice.
void run_captured_twice(cudaStream_t stream) {
  cudaGraph_t graph = nullptr;
  REQUIRE(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
  cudaGraphExec_t exec = nullptr;
  REQUIRE(cudaGraphInstantiate(&exec, graph, 0) == cudaSuccess);
  CHECK(cudaGraphLaunch(exec, stream) == cudaSuccess);
  CHECK(cudaGraphLaunch(exec, stream) == cudaSuccess);
  CHECK(cudaGraphDestroy(graph) == cudaSuccess);
  CHECK(cudaGraphExecDestroy(exec) == cudaSuccess);
}

}  // namespace

TEST_CASE("every thread of every block runs once, between barriers in step") {
  for (const unsigned threads : {32u, 64u, 256u, 1024u})
    for (const unsigned blocks : {1u, 2u, 7u}) {
      std::vector<int> runs(threads * blocks), sums(blocks);
      run_grid("count", {blocks, 1, 1}, threads, threads * sizeof(int), [&] {
        auto* mine = static_cast<int*>(shared_memory());
        mine[threadIdx.x] = static_cast<int>(threadIdx.x);
        ++runs[blockIdx.x * blockDim.x + threadIdx.x];
        __syncthreads();
        for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
          if (threadIdx.x < half) mine[threadIdx.x] += mine[threadIdx.x + half];
          __syncthreads();
        }
        if (threadIdx.x == 0) sums[blockIdx.x] = mine[0];
      });
      for (const int r : runs) CHECK(r == 1);
      for (const int s : sums) CHECK(s == static_cast<int>(threads * (threads - 1) / 2));
    }
}

TEST_CASE("warp operations exchange what lanes give") {
  std::vector<int> down(64), across(64), votes(64);
  run_grid("warps", {1, 1, 1}, 64, 0, [&] {
    const unsigned t = threadIdx.x;
    down[t] = __shfl_down_sync(0xffffffffu, static_cast<int>(t), 1);
    across[t] = __shfl_xor_sync(0xffffffffu, static_cast<int>(t), 16);
    votes[t] = static_cast<int>(__ballot_sync(0xffffffffu, t % 2 == 0));
    CHECK(__syncthreads_or(t == 63) == 1);
    CHECK(__syncthreads_or(0) == 0);
  });
  for (int t = 0; t < 64; ++t) {
    CHECK(down[static_cast<std::size_t>(t)] == (t % 32 == 31 ? t : t + 1));
    CHECK(across[static_cast<std::size_t>(t)] == (t ^ 16));
    CHECK(static_cast<unsigned>(votes[static_cast<std::size_t>(t)]) == 0x55555555u);
  }
}

TEST_CASE("shared memory is NaN before each block") {
  run_grid("poison", {3, 1, 1}, 32, 64 * sizeof(float), [&] {
    auto* mine = static_cast<float*>(shared_memory());
    CHECK(std::isnan(mine[threadIdx.x]));
    CHECK(std::isnan(mine[32 + threadIdx.x]));
    __syncthreads();
    mine[threadIdx.x] = 1;
  });
}

TEST_CASE("a barrier that is missing shows, first or later") {
  for (const bool later : {false, true}) {
    int wrong = 0;
    run_grid("race", {1, 1, 1}, 64, 64 * sizeof(float), [&] {
      auto* mine = static_cast<float*>(shared_memory());
      const unsigned t = threadIdx.x;
      if (later) {
        mine[t] = -1;
        __syncthreads();
      }
      mine[t] = static_cast<float>(t);
      const float up = mine[(t + 1) % 64], down = mine[(t + 63) % 64];
      wrong += !(up >= 0) + !(down >= 0);
    });
    CHECK(wrong > 0);
  }
}

TEST_CASE("what a GPU leaves undefined is refused") {
  const auto runs = [](unsigned threads, std::size_t shared, const std::function<void()>& body) {
    run_grid("wrong", {2, 1, 1}, threads, shared, body);
  };
  CHECK_THROWS_AS(runs(48, 0, [] {}), std::logic_error);
  CHECK_THROWS_AS(runs(2048, 0, [] {}), std::logic_error);
  CHECK_THROWS_AS(runs(64, 0,
                       [] {
                         if (threadIdx.x < 32) __syncthreads();
                       }),
                  std::logic_error);
  CHECK_THROWS_AS(runs(64, 0,
                       [] {
                         if (threadIdx.x % 2 == 0) __syncwarp();
                         __syncthreads();
                       }),
                  std::logic_error);
  CHECK_THROWS_AS(runs(32, 0, [] { __shfl_sync(1u << (threadIdx.x % 32), 1, 5); }), std::logic_error);
  CHECK_THROWS_AS(runs(32, 32, [] { static_cast<char*>(shared_memory())[32 + threadIdx.x] = 1; }),
                  std::logic_error);
  int after = 0;
  run_grid("right", {1, 1, 1}, 32, 0, [&] { ++after; });  // works on after errors
  CHECK(after == 32);
}

TEST_CASE("graphs run what was recorded, at each launch, and refuse waits while it is recorded") {
  cudaStream_t stream = nullptr;
  REQUIRE(cudaStreamCreate(&stream) == cudaSuccess);
  int runs = 0;
  REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  launch(stream, "step", nullptr, {1, 1, 1}, 32, 0, [&] { ++runs; });
  CHECK(runs == 0);
  run_captured_twice(stream);
  CHECK(runs == 64);
  REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  CHECK(cudaStreamSynchronize(stream) == cudaErrorStreamCaptureUnsupported);
  cudaGraph_t graph = nullptr;
  CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated);
  CHECK(cudaStreamDestroy(stream) == cudaSuccess);
}

TEST_CASE("the stand-in for cuBLAS reads by columns, refuses what cuBLAS refuses, and is recorded") {
  cublasHandle_t handle = nullptr;
  cudaStream_t stream = nullptr;
  REQUIRE(cudaStreamCreate(&stream) == cudaSuccess);
  REQUIRE(cublasCreate(&handle) == CUBLAS_STATUS_SUCCESS);
  const float a[] = {1, 2, 3, 4, 5, 6}, b[] = {1, 10, 100}, one = 1, two = 2, zero = 0;  // a (2, 3), b (3, 1)
  float c[] = {NAN, NAN};
  alignas(256) static char memory[256];
  const auto gemm = [&](cublasOperation_t op, std::int64_t lda, std::int64_t m, const float* alpha,
                        const float* beta) {
    return cublasSgemm_64(handle, op, CUBLAS_OP_N, m, 1, 3, alpha, a, lda, b, 3, beta, c, 2);
  };
  CHECK(gemm(CUBLAS_OP_N, 2, 2, &one, &zero) != CUBLAS_STATUS_SUCCESS);  // no memory yet
  CHECK(cublasSetStream(handle, stream) == CUBLAS_STATUS_SUCCESS);
  CHECK(cublasSetWorkspace(handle, memory + 8, 128) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(cublasSetWorkspace(handle, memory, sizeof memory) == CUBLAS_STATUS_SUCCESS);
  CHECK(gemm(CUBLAS_OP_N, 2, 2, &one, &zero) == CUBLAS_STATUS_SUCCESS);
  CHECK(c[0] == 531);
  CHECK(c[1] == 642);
  CHECK(gemm(CUBLAS_OP_T, 3, 2, &two, &one) == CUBLAS_STATUS_SUCCESS);  // a as (3, 2)
  CHECK(c[0] == 531 + 2 * 321);
  CHECK(c[1] == 642 + 2 * 654);
  CHECK(gemm(CUBLAS_OP_N, 1, 2, &one, &zero) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(gemm(CUBLAS_OP_T, 2, 2, &one, &zero) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(gemm(CUBLAS_OP_N, 3, 3, &one, &zero) == CUBLAS_STATUS_INVALID_VALUE);  // c has 2 rows

  REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  c[0] = c[1] = 0;
  CHECK(gemm(CUBLAS_OP_N, 2, 2, &one, &one) == CUBLAS_STATUS_SUCCESS);
  CHECK(c[0] == 0);
  cublasHandle_t late = nullptr;
  CHECK(cublasCreate(&late) == CUBLAS_STATUS_ALLOC_FAILED);
  run_captured_twice(stream);
  CHECK(c[0] == 2 * 531);
  CHECK(cublasDestroy(handle) == CUBLAS_STATUS_SUCCESS);
  CHECK(cudaStreamDestroy(stream) == cudaSuccess);
}
