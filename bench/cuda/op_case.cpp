#include "op_case.h"

#include <algorithm>
#include <cmath>

#include "core/memory.h"
#include "emshap/core/error.h"
#include "emshap/core/random.h"

namespace emshap::bench {
namespace {

std::vector<double> values_of(const Tensor& t) {
  Tensor here(t.shape(), t.dtype());
  copy_bytes(here.view().data(), {}, t.view().data(), t.device(), t.elements() * size_of(t.dtype()));
  std::vector<double> values;
  for (std::int64_t i = 0; i < t.elements(); ++i)
    values.push_back(t.dtype() == DType::i32 ? static_cast<double>(here.ptr<std::int32_t>()[i])
                                             : static_cast<double>(here.ptr<float>()[i]));
  return values;
}

/// Empty, or what differs.
std::string difference(const Operands& on_cpu, const Operands& on_gpu, double tolerance) {
  for (std::size_t k = 0; k < on_cpu.results().size(); ++k) {
    const auto expected = values_of(*on_cpu.results()[k]), got = values_of(*on_gpu.results()[k]);
    double largest = 1e-30, worst = 0;
    for (const double v : expected)
      if (std::isfinite(v)) largest = std::max(largest, std::abs(v));
    for (std::size_t i = 0; i < got.size(); ++i) {
      if (got[i] == expected[i]) continue;
      const double away = std::abs(got[i] - expected[i]) / largest;
      worst = std::isnan(away) ? INFINITY : std::max(worst, away);
    }
    if (worst > tolerance)
      return "result " + std::to_string(k) + " is " + std::to_string(worst) +
             " of its largest value from the CPU's";
  }
  return {};
}

void run_op(benchmark::State& state, const Work& work, const MakeCall& make, double tolerance) {
  const Device gpu{DeviceKind::cuda, 0};
  try {
    Context ctx(gpu);
    Operands operands(gpu);
    const auto call = make(ctx, operands);
    call();
    ctx.synchronize();
    {
      Context cpu;
      Operands expected(cpu.device());
      make(cpu, expected)();
      if (const std::string text = difference(expected, operands, tolerance); !text.empty())
        return state.SkipWithError(text.c_str());
    }
    time_calls(state, ctx, work, call);
  } catch (const Error& e) {
    state.SkipWithError(e.what());
  }
}

}  // namespace

TensorView Operands::keep(Tensor on_cpu) {
  if (device_ == on_cpu.device()) {
    tensors_.push_back(std::move(on_cpu));
  } else {
    Tensor& there = tensors_.emplace_back(on_cpu.shape(), on_cpu.dtype(), device_);
    copy_bytes(there.view().data(), device_, on_cpu.view().data(), {},
               there.elements() * size_of(there.dtype()));
  }
  return tensors_.back();
}

TensorView Operands::in(Shape shape, double low, double high) {
  Generator random({.seed = next_++, .purpose = RandomPurpose::test});
  Tensor t(shape);
  for (std::int64_t i = 0; i < t.elements(); ++i)
    t.ptr<float>()[i] = static_cast<float>(low + (high - low) * random.uniform());
  return keep(std::move(t));
}

TensorView Operands::integers(Shape shape, std::int64_t below) {
  Generator random({.seed = next_++, .purpose = RandomPurpose::test});
  Tensor t(shape, DType::i32);
  for (std::int64_t i = 0; i < t.elements(); ++i)
    t.ptr<std::int32_t>()[i] = static_cast<std::int32_t>(static_cast<double>(below) * random.uniform());
  return keep(std::move(t));
}

TensorView Operands::out(Shape shape, DType dtype) {
  const TensorView view = keep(Tensor::zeros(shape, dtype));
  results_.push_back(&tensors_.back());
  return view;
}

TensorView Operands::inout(Shape shape, double low, double high) {
  const TensorView view = in(shape, low, high);
  results_.push_back(&tensors_.back());
  return view;
}

TensorView Operands::scratch(Shape shape) {
  return keep(Tensor::zeros(shape));
}

void add_op(const std::string& name, const Work& work, const MakeCall& make, double tolerance) {
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    run_op(state, work, make, tolerance);
  })->UseManualTime();
}

}  // namespace emshap::bench
