#include <doctest/doctest.h>

#include <cmath>

#include "math/activation.h"

using namespace emshap;
namespace m = emshap::math;

namespace {

template <Activation A>
void check_derivative() {
  INFO(to_string(A));
  for (double x = -9.97; x < 10; x += .0731) {
    const double h = 1e-5;
    const double numeric = (m::activate<A>(x + h) - m::activate<A>(x - h)) / (2 * h);
    CHECK(std::abs(m::backward_from_input<A>(x, 2.) / 2 - numeric) <= 1e-9);
    if constexpr (m::from_output(A))
      CHECK(std::abs(m::backward_from_output<A>(m::activate<A>(x), 2.) / 2 - numeric) <= 1e-9);
    const float single = m::backward_from_input<A>(static_cast<float>(x), 1.f);
    const double exact = m::backward_from_input<A>(static_cast<double>(static_cast<float>(x)), 1.);
    CHECK(std::abs(static_cast<double>(single) - exact) <= 4e-7);
  }
  const double inf = INFINITY;
  if (A != Activation::identity) CHECK(std::isfinite(m::backward_from_input<A>(inf, 1.)));
  if (A != Activation::identity) CHECK(std::isfinite(m::backward_from_input<A>(-inf, 1.)));
  CHECK(std::isnan(m::activate<A>(static_cast<double>(NAN))));
  CHECK(std::isnan(m::activate<A>(NAN)));
}

}  // namespace

TEST_CASE("activation derivatives are those of the activations") {
  check_derivative<Activation::identity>();
  check_derivative<Activation::relu>();
  check_derivative<Activation::leaky_relu>();
  check_derivative<Activation::gelu>();
  check_derivative<Activation::tanh>();
  check_derivative<Activation::sigmoid>();
  check_derivative<Activation::softplus>();
  check_derivative<Activation::silu>();
}

TEST_CASE("activations have their known values") {
  CHECK(m::activate<Activation::relu>(-2.) == 0);
  CHECK(m::activate<Activation::leaky_relu>(-2.) == doctest::Approx(-.02));
  CHECK(m::activate<Activation::gelu>(1.) == doctest::Approx(.8413447460685429));
  CHECK(m::activate<Activation::silu>(1.) == doctest::Approx(.7310585786300049));
  CHECK(m::activate<Activation::softplus>(1.) == doctest::Approx(1.3132616875182228));
  CHECK(m::activate<Activation::softplus>(1000.) == 1000);
  CHECK(m::activate<Activation::sigmoid>(-1000.) == 0);
  CHECK(m::activate<Activation::gelu>(-static_cast<double>(INFINITY)) == 0);
  CHECK(m::activate<Activation::silu>(-static_cast<double>(INFINITY)) == 0);
}

TEST_CASE("with_activation finds each activation") {
  int seen = 0;
  for (const Activation a : {Activation::identity, Activation::relu, Activation::leaky_relu, Activation::gelu,
                             Activation::tanh, Activation::sigmoid, Activation::softplus, Activation::silu})
    m::with_activation(a, [&](auto choice) { seen += choice() == a; });
  CHECK(seen == 8);
}
