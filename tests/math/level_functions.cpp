// Compiled once per instruction-set level, like the files of src/cpu.
#include "level_functions.h"

#include "cpu/lanes.h"
#include "math/activation.h"
#include "math/inverse_normal.h"

namespace emshap::cpu::EMSHAP_ISA {
namespace {

using emshap::test::Function;

template <Function F, class V>
EMSHAP_HD V evaluate(V x) {
  if constexpr (F == Function::exp) return math::exp(x);
  if constexpr (F == Function::log) return math::log(x);
  if constexpr (F == Function::log1p) return math::log1p(x);
  if constexpr (F == Function::tanh) return math::tanh(x);
  if constexpr (F == Function::sigmoid) return math::sigmoid(x);
  if constexpr (F == Function::softplus) return math::softplus(x);
  if constexpr (F == Function::erf) return math::erf(x);
  if constexpr (F == Function::normal_cdf) return math::normal_cdf(x);
  if constexpr (F == Function::gelu) return math::activate<Activation::gelu>(x);
  if constexpr (F == Function::silu) return math::activate<Activation::silu>(x);
  if constexpr (F == Function::inverse_normal_tail) return math::inverse_normal_tail(x);
}

template <class Body>
void with_function(Function f, const Body& body) {
#define EMSHAP_CASE(name) \
  case Function::name:    \
    return body(std::integral_constant<Function, Function::name>())
  switch (f) {
    EMSHAP_CASE(exp);
    EMSHAP_CASE(log);
    EMSHAP_CASE(log1p);
    EMSHAP_CASE(tanh);
    EMSHAP_CASE(sigmoid);
    EMSHAP_CASE(softplus);
    EMSHAP_CASE(erf);
    EMSHAP_CASE(normal_cdf);
    EMSHAP_CASE(gelu);
    EMSHAP_CASE(silu);
    EMSHAP_CASE(inverse_normal_tail);
  }
#undef EMSHAP_CASE
}

}  // namespace

void test_packs(Function f, const float* x, float* y, std::int64_t n) {
  with_function(f, [&](auto choice) {
    for_each_pack<float>(n,
                         [&](auto at) EMSHAP_INLINE_LAMBDA { at.store(y, evaluate<choice()>(at.load(x))); });
  });
}

void test_scalars(Function f, const float* x, float* y, std::int64_t n) {
  with_function(f, [&](auto choice) {
    for (std::int64_t i = 0; i < n; ++i) y[i] = evaluate<choice()>(x[i]);
  });
}

}  // namespace emshap::cpu::EMSHAP_ISA
