#include <doctest/doctest.h>

#include <limits>

#include "emshap/core/error.h"
#include "emshap/core/tensor.h"
#include "emshap/models/predictor.h"

using namespace emshap;

TEST_SUITE("predictor") {
  TEST_CASE("a function of rows is a predictor, and what it gives is checked") {
    const CallablePredictor sum(2, [](ConstTensorView raw, TensorView y) {
      for (std::int64_t r = 0; r < raw.rows(); ++r)
        y.ptr<float>()[r] = raw.ptr<float>()[2 * r] / raw.ptr<float>()[2 * r + 1];
    });
    Context ctx;
    Tensor y({2, 1});
    sum.predict(ctx, Tensor::from<float>({1, 2, 3, 4}, {2, 2}), y);
    CHECK(y.ptr<float>()[0] == .5f);
    CHECK(y.ptr<float>()[1] == .75f);
    sum.predict(ctx, Tensor({0, 2}), Tensor({0, 1}));
    CHECK_THROWS_AS(sum.predict(ctx, Tensor::from<float>({1, 2, 3, 0}, {2, 2}), y), NumericalError);
    CHECK_THROWS_AS(sum.predict(ctx, Tensor({2, 3}), y), ShapeError);
    CHECK_THROWS_AS(sum.predict(ctx, Tensor({1, 2}), y), ShapeError);
    CHECK_THROWS_AS(CallablePredictor(2, {}), ConfigError);
  }
}
