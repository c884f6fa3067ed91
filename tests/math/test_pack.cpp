#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "math/pack.h"

using emshap::math::Pack;
using emshap::math::Traits;
namespace m = emshap::math;

namespace {

template <class T, class Check>
void with_packs(const Check& check) {
  check(Pack<T, 2>());
  check(Pack<T, 4>());
  check(Pack<T, 8>());
  check(Pack<T, 16>());
}

template <class P>
constexpr int lanes_of = Traits<P>::lanes;

const std::vector<double> values = {0.,  -0., 1.,   -1.,   2.5, -3.75, 1e-3, 1e6,
                                    -7., 0.1, -0.2, 1e-30, 42., -42.,  3.,   INFINITY};

bool same(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

}  // namespace

TEST_CASE_TEMPLATE("pack operations have the bits of the scalar ones", T, float, double) {
  with_packs<T>([](auto zero) {
    using P = decltype(zero);
    constexpr int n = lanes_of<P>;
    for (std::size_t shift = 0; shift < values.size(); ++shift) {
      T x[n], y[n];
      for (int i = 0; i < n; ++i) {
        x[i] = static_cast<T>(values[(static_cast<std::size_t>(i) + shift) % values.size()]);
        y[i] = static_cast<T>(values[(static_cast<std::size_t>(3 * i) + shift / 2) % values.size()]);
      }
      const P a = P::load(x), b = P::load(y);
      const P sum = a + b, product = a * b, fused = mul_add(a, b, a), low = m::min(a, b), high = m::max(a, b),
              root = m::sqrt(m::abs(a)), chosen = select(a < b, a, b), sign = m::copysign(a, b);
      for (int i = 0; i < n; ++i) {
        CHECK(same(sum[i], x[i] + y[i]));
        CHECK(same(product[i], x[i] * y[i]));
        CHECK(same(fused[i], m::mul_add(x[i], y[i], x[i])));
        CHECK(same(low[i], m::min(x[i], y[i])));
        CHECK(same(high[i], m::max(x[i], y[i])));
        CHECK(same(root[i], m::sqrt(m::abs(x[i]))));
        CHECK(same(chosen[i], m::select(x[i] < y[i], x[i], y[i])));
        CHECK(same(sign[i], m::copysign(x[i], y[i])));
        CHECK((a == b)[i] == (x[i] == y[i]));
        CHECK(((a < b) & !(a == P(T(1))))[i] == (x[i] < y[i] && x[i] != 1));
        CHECK(same(as_float(as_int(a))[i], x[i]));
      }
      CHECK(any(a < b) == [&] {
        for (int i = 0; i < n; ++i)
          if (x[i] < y[i]) return true;
        return false;
      }());
    }
  });
}

TEST_CASE_TEMPLATE("the second operand wins in min and max of a NaN", T, float, double) {
  const T nan = std::numeric_limits<T>::quiet_NaN();
  using P = Pack<T, 4>;
  CHECK(max(P(nan), P(T(1)))[0] == 1);
  CHECK(std::isnan(max(P(T(1)), P(nan))[0]));
  CHECK(m::max(nan, T(1)) == 1);
  CHECK(std::isnan(m::min(T(1), nan)));
}

TEST_CASE_TEMPLATE("partial loads and stores touch the first n lanes only", T, float, double) {
  with_packs<T>([](auto zero) {
    using P = decltype(zero);
    constexpr int lanes = lanes_of<P>;
    for (int n = 0; n < lanes; ++n) {
      std::vector<T> from(static_cast<std::size_t>(n));  // ends where the load must end: asan sees more
      for (int i = 0; i < n; ++i) from[static_cast<std::size_t>(i)] = static_cast<T>(i + 1);
      const P a = P::load_partial(from.data(), n);
      for (int i = 0; i < lanes; ++i) CHECK(a[i] == (i < n ? T(i + 1) : T(0)));
      std::vector<T> to(lanes, T(-5));
      a.store_partial(to.data(), n);
      for (int i = 0; i < lanes; ++i) CHECK(to[static_cast<std::size_t>(i)] == (i < n ? T(i + 1) : T(-5)));
    }
  });
}

TEST_CASE("horizontal sums add halves") {
  Pack<float, 4> a;
  const float x[4] = {1e8f, 1.f, -1e8f, 1.f};
  a = Pack<float, 4>::load(x);
  CHECK(horizontal_sum(a) == (1e8f + -1e8f) + (1.f + 1.f));
  CHECK(horizontal_sum(Pack<double, 16>::iota()) == 120);
}

TEST_CASE("conversions truncate and keep values") {
  const float x[4] = {-1.75f, 2.f, 3.99f, 0.f};
  const auto i = to_int(Pack<float, 4>::load(x));
  CHECK(i[0] == -1);
  CHECK(i[2] == 3);
  CHECK(to_float(i)[2] == 3.f);
  CHECK(convert<double>(Pack<float, 4>::load(x))[0] == -1.75);
}

TEST_CASE("broadcast keeps the sign of zero") {
  CHECK(std::signbit(Pack<float, 8>(-0.f)[7]));
}

TEST_CASE("mul_low32 multiplies the low halves only") {
  const std::uint64_t a[4] = {0xffffffffffffffffull, 2, 0x1234567800000003ull, 0};
  const auto p =
      mul_low32(Pack<std::uint64_t, 4>::load(a), Pack<std::uint64_t, 4>(std::uint64_t{0xfffffffffull}));
  CHECK(p[0] == 0xffffffffull * 0xffffffffull);
  CHECK(p[1] == 2 * 0xffffffffull);
  CHECK(p[2] == 3 * 0xffffffffull);
}
