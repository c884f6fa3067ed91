#include "emshap/ops/masked_input.h"

#include <map>

#include "op_test.h"

using namespace emshap;
using namespace emshap::test;

TEST_CASE(
    "random masks: observed subsets, every size as often as its weight, every subset of a size equally "
    "often") {
  constexpr std::int64_t B = 20000, F = 4;
  const std::vector<double> sizes{.1, .4, .2, .3};
  Values there(B * F, 1);
  for (std::size_t r = 0; r < B; r += 2) there[r * F + 2] = 0;  // every other row lacks feature 2
  Values first;
  for (const Backend level : levels())
    for (const DType dtype : {DType::f32, DType::f64}) {
      Context ctx(level);
      const Matrix observed(there, B, F, dtype, 1);
      Matrix mask(B, F, dtype, 2), weight(B, F, dtype);
      ops::random_masks(ctx, {.seed = 5}, 100, sizes, .5, observed, mask, weight);
      const Values m = mask.values(), w = weight.values();
      if (first.empty()) first = m;
      CHECK(m == first);  // the same at every level and in both types
      CHECK(mask.gaps_intact());
      std::map<int, int> complete, partial;
      for (std::size_t r = 0; r < B; ++r) {
        int key = 0, unknown = 0;
        for (std::size_t t = 0; t < F; ++t) {
          const bool known = m[r * F + t] == 1;
          CHECK_FALSE((known && there[r * F + t] == 0));
          key |= known << t;
          unknown += !known && there[r * F + t] == 1;
        }
        REQUIRE(unknown > 0);
        for (std::size_t t = 0; t < F; ++t)
          CHECK(w[r * F + t] == (there[r * F + t] == 1 && m[r * F + t] == 0
                                     ? doctest::Approx(.5 / unknown).epsilon(1e-6)
                                     : doctest::Approx(0)));
        ++(r % 2 == 1 ? complete : partial)[key];
      }
      const auto near = [](int count, double share) { CHECK(std::abs(count / (B / 2.) - share) < .02); };
      for (int key = 0; key < 15; ++key) {
        const int size = __builtin_popcount(static_cast<unsigned>(key));
        near(complete[key], sizes[static_cast<std::size_t>(size)] / (size % 4 == 0 ? 1 : size == 2 ? 6 : 4));
        if ((key & 4) == 0 && size < 3)  // sizes 0 to 2 of 3 features, weights rescaled
          near(partial[key], sizes[static_cast<std::size_t>(size)] / .7 / (size == 0 ? 1 : 3));
      }
      CHECK(complete[15] == 0);
    }
}

TEST_CASE("a row's mask depends on the key and its number only; rows without values get none") {
  const std::vector<double> sizes{0, 0, 1};
  for (const Backend level : levels()) {
    Context ctx(level);
    const Matrix observed(Values(30, 1), 10, 3, DType::f32), nothing(Values(6, 0), 2, 3, DType::f32);
    Matrix all(10, 3, DType::f32), weight(10, 3, DType::f32), part(4, 3, DType::f32),
        part_weight(4, 3, DType::f32);
    ops::random_masks(ctx, {.seed = 5}, 0, sizes, 1, observed, all, weight);
    ops::random_masks(ctx, {.seed = 5}, 6, sizes, 1, observed.view().rows(0, 4), part, part_weight);
    const Values a = all.values();
    CHECK(same_bits(part.values(), Values(a.begin() + 18, a.end())));
    for (std::size_t r = 0; r < 10; ++r) CHECK(a[3 * r] + a[3 * r + 1] + a[3 * r + 2] == 2);
    Matrix none(2, 3, DType::f32), none_weight(2, 3, DType::f32);
    ops::random_masks(ctx, {.seed = 5}, 0, sizes, 1, nothing, none, none_weight);
    CHECK(none.values() == Values(6, 0));
    CHECK(none_weight.values() == Values(6, 0));
    // No weight on the sizes a row can have: all but one of its entries are known.
    const Matrix two({1, 0, 1}, 1, 3, DType::f32);
    Matrix one(1, 3, DType::f32), one_weight(1, 3, DType::f32);
    ops::random_masks(ctx, {.seed = 5}, 0, sizes, 1, two, one, one_weight);
    CHECK(one.values()[0] + one.values()[2] == 1);
  }
}

TEST_CASE("the masked input: known values, mask, base, codes") {
  for (const Backend level : levels())
    for (const DType dtype : {DType::f32, DType::f64}) {
      Context ctx(level);
      const Matrix x({1.5, NAN, 3, 4, 5, 6}, 2, 3, dtype, 1), mask({1, 0, 1, 0, 1, 1}, 2, 3, dtype);
      const Matrix mu({7, 8, 9, 10, 11, 12}, 2, 3, dtype), log_sd({-1, -2, -3, -4, -5, -6}, 2, 3, dtype, 2);
      const Tensor code = Tensor::from(std::vector<std::int32_t>{-1, 1, 2, -1, 5, 0}, {2, 3});
      const Tensor offset = Tensor::from(std::vector<std::int32_t>{0, 0, 2, 5}, {4});
      Matrix y(2, 17, dtype, 3), numeric(2, 12, dtype);
      ops::masked_input(ctx, x, mask, mu, log_sd, code, offset, y);
      CHECK(y.values() == Values{1.5, 0, 3, 1, 0, 1, 0,  8, 0, 0,  -2, 0, 0, 0, 0, 0, 1,
                                 0,   5, 6, 0, 1, 1, 10, 0, 0, -4, 0,  0, 0, 0, 1, 0, 0});
      CHECK(y.gaps_intact());
      ops::masked_input(ctx, x, mask, mu, log_sd, {}, {}, numeric);
      CHECK(numeric.values() ==
            Values{1.5, 0, 3, 1, 0, 1, 0, 8, 0, 0, -2, 0, 0, 5, 6, 0, 1, 1, 10, 0, 0, -4, 0, 0});
    }
}

TEST_CASE("arguments of masks and masked input are checked") {
  Context ctx;
  Matrix x(2, 3, DType::f32), other(2, 4, DType::f32), y(2, 12, DType::f32), narrow(2, 11, DType::f32);
  const std::vector<double> sizes{1, 1, 1};
  CHECK_THROWS_AS(ops::random_masks(ctx, {}, 0, sizes, 1, other, other, other), ShapeError);
  CHECK_THROWS_AS(ops::random_masks(ctx, {}, 0, sizes, 1, x, other, x), ShapeError);
  CHECK_THROWS_AS(ops::random_masks(ctx, {}, 0, std::vector<double>{1, -1, 1}, 1, x, x, x), ConfigError);
  CHECK_THROWS_AS(ops::masked_input(ctx, x, other, x, x, {}, {}, y), ShapeError);
  CHECK_THROWS_AS(ops::masked_input(ctx, x, x, x, x, {}, {}, narrow), ShapeError);
  CHECK_THROWS_AS(ops::masked_input(ctx, x, x, x, x, {}, {}, Matrix(2, 13, DType::f32)), ShapeError);
}
