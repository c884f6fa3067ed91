// Compiled, not run: every shared formula is instantiated in device code, so that a change that only host
// compilers accept is noticed where there is nvcc but no GPU.
#include "math/activation.h"
#include "math/inverse_normal.h"
#include "math/launch_shape.h"
#include "math/random_value.h"
#include "math/sobol.h"

namespace emshap::math {
namespace {

template <Activation A, class T>
__device__ T both_ways(T x, T dy) {
  T s = activate<A>(x) + backward_from_input<A>(x, dy);
  if constexpr (from_output(A)) s += backward_from_output<A>(x, dy);
  return s;
}

__device__ float random(const PhiloxBlock& b, float) {
  return uniform_from(b.word[0]) + normal_from(b.word[1]);
}
__device__ double random(const PhiloxBlock& b, double) {
  return uniform_from(b.word[0], b.word[1]) + normal_from(b.word[2], b.word[3]);
}

}  // namespace

template <class T>
__global__ void every_formula(const T* x, T* y, RandomKey key, const std::uint32_t* directions) {
  const T v = x[threadIdx.x];
  T s = exp(v) + log(v) + log1p(v) + erf(v) + normal_cdf(v) + inverse_normal(v) + sqrt(abs(v)) +
        mul_add(v, v, v);
  s += both_ways<Activation::identity>(v, s) + both_ways<Activation::relu>(v, s) +
       both_ways<Activation::leaky_relu>(v, s) + both_ways<Activation::gelu>(v, s) +
       both_ways<Activation::tanh>(v, s) + both_ways<Activation::sigmoid>(v, s) +
       both_ways<Activation::softplus>(v, s) + both_ways<Activation::silu>(v, s);
  with_activation(Activation::silu, [&](auto choice) { s += activate<decltype(choice)::value>(v); });
  const PhiloxRow row = PhiloxStream(key).row(threadIdx.x);
  s += random(row.block(3), T());
  s += static_cast<T>(owen_scramble(sobol_word(directions, threadIdx.x), sobol_seed(row, 2)));
  y[threadIdx.x] = s + static_cast<T>(ceil_div(7, 2));
}
template __global__ void every_formula<float>(const float*, float*, RandomKey, const std::uint32_t*);
template __global__ void every_formula<double>(const double*, double*, RandomKey, const std::uint32_t*);

}  // namespace emshap::math
