// The runtime where the executor can play scarce memory, missing devices and old drivers, and counts what the
// host waits for.
#include <doctest/doctest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "core/cuda_architectures.h"
#include "core/memory.h"
#include "core/readback.h"
#include "core/staging.h"
#include "core/step_graph.h"
#include "cuda/launch.h"
#include "emshap/core/context.h"
#include "emshap/core/cuda.h"
#include "emshap/core/error.h"
#include "emshap/core/tensor.h"
#include "emshap/ops/elementwise.h"
#include "executor.h"
#include "support/compare.h"

using namespace emshap;
using namespace emshap::test;

namespace {

const Device gpu{DeviceKind::cuda, 0};

/// Gives the machine back as it was.
struct Machine {
  ~Machine() {
    host_cuda::set_memory_limit(0);
    host_cuda::set_device_count(1);
    host_cuda::set_driver(13000);
    host_cuda::set_compute_capability(9, 0);
  }
};

/// to[t] = the number of floats, by way of the last float of shared memory.
void last_of_kernel(int floats, float* to) {
  float* shared = cuda::shared_memory<float>();
  if (threadIdx.x == 0) shared[floats - 1] = static_cast<float>(floats);
  __syncthreads();
  to[threadIdx.x] = shared[floats - 1];
}

}  // namespace

TEST_CASE("out of memory: how much, where, what to do; afterwards the device is usable") {
  const Machine machine;
  Context ctx(gpu);
  host_cuda::set_memory_limit(host_cuda::memory_in_use() + (8 << 20));
  Tensor t({1000}, DType::f32, gpu);
  CHECK_THROWS_WITH_AS(
      t.ensure({4 << 20}, DType::f32, gpu),
      doctest::Contains("out of memory: 16.0 MiB were asked for on cuda:0, where 8.0 MiB of"), CudaError);
  try {
    t.ensure({4 << 20}, DType::f32, gpu);
  } catch (const Error& e) {
    CHECK(exit_code(e.kind()) == 4);
    CHECK(std::string(e.what()).find(
              "use a smaller --batch-size (training), fewer --threads (explaining) or --device cpu") !=
          std::string::npos);
  }
  t.ensure({100}, DType::f32, gpu);
  ops::fill(ctx, 2, t);
  ctx.synchronize();
  check_same_bits("t", to_doubles(t), std::vector<double>(100, 2.0));
}

TEST_CASE("devices that cannot be used say why; auto is the CPU") {
  const Machine machine;
  const auto refused = [](const char* device, const char* text) {
    CHECK_THROWS_WITH_AS(parse_device(device), doctest::Contains(text), DeviceError);
  };
  refused("cuda:3", "device 'cuda:3' cannot be used: there is only one CUDA device");
  CHECK(why_not_cuda().empty());
  CHECK(parse_device("auto") == gpu);
  host_cuda::set_device_count(2);
  CHECK(parse_device("cuda:1") == Device{DeviceKind::cuda, 1});
  refused("cuda:2", "only 2 CUDA devices; use --device cuda:0 to cuda:1");
  CHECK_THROWS_AS(Context(Device{DeviceKind::cuda, 2}), DeviceError);

  host_cuda::set_device_count(0);
  refused("cuda", "no CUDA device was found");
  CHECK(parse_device("auto") == Device{});
  host_cuda::set_device_count(1);

  host_cuda::set_driver(12040);
  refused("cuda", "the NVIDIA driver supports CUDA 12.4 and this build needs 13.0");
  CHECK(parse_device("auto") == Device{});
  host_cuda::set_driver(0);
  refused("cuda", "there is no NVIDIA driver");
  host_cuda::set_driver(13000);

  host_cuda::set_compute_capability(7, 5);
  refused("cuda", "cuda:0 has compute capability 7.5, for which this build has no code (it contains 90)");
  CHECK_THROWS_WITH_AS(Context{gpu}, doctest::Contains("-DCMAKE_CUDA_ARCHITECTURES=75"), DeviceError);
  CHECK(parse_device("auto") == Device{});
  CHECK(exit_code(ErrorKind::environment) == 4);
}

TEST_CASE("which devices a list of architectures is for") {
  using cuda_runtime::has_code_for;
  const char* usual = "75-real 80-real 86-real 90";
  for (const int device : {75, 80, 86, 87, 89, 90, 100, 120})
    CHECK(has_code_for(usual, device / 10, device % 10));
  for (const int device : {60, 61, 70, 72}) CHECK_FALSE(has_code_for(usual, device / 10, device % 10));
  CHECK(has_code_for("90-real", 9, 0));
  CHECK_FALSE(has_code_for("90-real", 10, 0));
  CHECK_FALSE(has_code_for("86-real;90-real", 8, 0));
  CHECK(has_code_for("70-virtual", 12, 0));
  CHECK(has_code_for("90a", 9, 0));
  CHECK_FALSE(has_code_for("90a", 10, 0));
  CHECK(has_code_for("native", 5, 0));
}

TEST_CASE("tensors and streams of a second device") {
  const Machine machine;
  host_cuda::set_device_count(2);
  const Device second{DeviceKind::cuda, 1};
  Context ctx(second);
  Tensor there({5}, DType::f32, second), first({5}, DType::f32, gpu);
  ops::fill(ctx, 3, there);
  copy_bytes(first.view().data(), gpu, there.view().data(), second, 20);
  check_same_bits("over", to_doubles(first), std::vector<double>(5, 3.0));
}

TEST_CASE("taking memory, staging, replaying and reading back wait for nothing") {
  Context ctx(gpu);
  Staging staging;
  StepGraph graph;
  Readback readback;
  std::vector<double> got;
  std::int64_t waits = 0, blocks = 0, seen = 0;
  Tensor y({3}, DType::f32, gpu);
  readback.reserve(gpu, 3);
  for (int step = 0; step < 40; ++step) {
    if (step == 2) {
      waits = host_cuda::host_waits();
      blocks = allocation_count();
    }
    graph.run(ctx, 3, [&] {
      staging.begin(ctx);
      const auto x = staging.take({3});
      for (int i = 0; i < 3; ++i) x.host.ptr<float>()[i] = static_cast<float>(step + i);
      staging.send(ctx);
      ops::affine(ctx, x.device, 2, step, y);
    });
    readback.post(ctx, y);
    if (step % 5 == 4)
      for (; readback.take(false, got); ++seen)
        check_same_bits("read", got, std::vector<double>{3. * seen, 3. * seen + 2, 3. * seen + 4});
  }
  CHECK(seen == 40);
  CHECK(graph.replays() == 38);
  CHECK(graph.instances() == 1);
  CHECK(host_cuda::host_waits() == waits);
  CHECK(allocation_count() == blocks);
  const Tensor more({1000}, DType::f32, gpu);
  CHECK(host_cuda::host_waits() == waits);
}

TEST_CASE("a kernel keeps its limit of shared memory when a smaller launch follows") {
  Context ctx(gpu);
  Tensor y({32}, DType::f32, gpu);
  float* const to = y.ptr<float>();
  StepGraph graph;
  for (int step = 0; step < 4; ++step)
    graph.run(ctx, 32, [&] {
      cuda::launch(ctx, "last_of", last_of_kernel, cuda::Grid{1, 32, 150 * 1024}, 150 * 1024 / 4, to);
      cuda::launch(ctx, "last_of", last_of_kernel, cuda::Grid{1, 32, 60 * 1024}, 60 * 1024 / 4, to);
    });
  CHECK(graph.replays() == 2);
  check_same_bits("y", to_doubles(y), std::vector<double>(32, 60 * 1024 / 4));
  CHECK_THROWS_AS(cuda::launch(ctx, "last_of", last_of_kernel, cuda::Grid{1, 32, 300 * 1024}, 1, to),
                  std::logic_error);
}

TEST_CASE("threads that use the device while another captures a step wait for its end") {
  Context ctx(gpu);
  Tensor y({4}, DType::f32, gpu);
  StepGraph graph;
  for (int step = 0; step < 6; ++step) {
    std::thread other;
    std::string failed;
    bool done = false;
    graph.run(ctx, 4, [&] {
      ops::fill(ctx, step, y);
      if (other.joinable()) other.join();  // a body may run twice
      if (step < 2) return;
      other = std::thread([&] {
        try {
          Tensor there = make_tensor(std::vector<double>{1, 2, 3}, {3}, DType::f32, gpu);
          zero_bytes(there.view().data(), 4, gpu);
          check_same_bits("there", to_doubles(there), std::vector<double>{0, 2, 3});
          done = true;
        } catch (const std::exception& e) {
          failed = e.what();
        }
      });
      std::this_thread::sleep_for(std::chrono::milliseconds(5));  // time to meet the capture
      ops::affine(ctx, y, 1, 1, y);
    });
    if (other.joinable()) other.join();
    CHECK(failed == "");
    CHECK(done == (step >= 2));
    check_same_bits("y", to_doubles(y), std::vector<double>(4, step < 2 ? step : step + 1.));
  }
  CHECK(graph.replays() == 4);
}

TEST_CASE("memory that a captured step gives back is there until its graph has run") {
  Context ctx(gpu);
  Tensor y({4}, DType::f32, gpu);
  StepGraph graph;
  std::vector<Tensor> given;
  for (int i = 0; i < 4; ++i) given.push_back(make_tensor(std::vector<double>(4, i), {4}, DType::f32, gpu));
  for (int step = 0; step < 4; ++step) {
    graph.run(ctx, 4, [&] {
      ops::copy(ctx, given[static_cast<std::size_t>(step)], y);
      given[static_cast<std::size_t>(step)] = Tensor();
    });
    check_same_bits("y", to_doubles(y), std::vector<double>(4, step));
  }
  CHECK(graph.replays() == 2);
}

TEST_CASE("what cannot be captured is run plainly, for good after three times") {
  Context ctx(gpu);
  Tensor y({4}, DType::f32, gpu);
  for (int kind = 0; kind < 3; ++kind) {
    StepGraph graph;
    int bodies = 0;
    for (int step = 0; step < 8; ++step) {
      graph.run(ctx, 4, [&] {
        ++bodies;
        ops::fill(ctx, step, y);
        if (kind == 0) ctx.synchronize();
        if (kind == 1) zero_bytes(y.view().data(), 8, gpu);
        if (kind == 2) const Context other(gpu);
        ops::affine(ctx, y, 1, 1, y);
      });
      ctx.synchronize();
      const double first = kind == 1 ? 1 : step + 1;
      check_same_bits("y", to_doubles(y), std::vector<double>{first, first, step + 1., step + 1.});
    }
    CHECK(graph.broken() == 3);
    CHECK(graph.replays() == 0);
    CHECK(bodies == 8 + 3);
  }
}
