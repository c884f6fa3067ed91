// Runs one op through the public headers and checks the numbers.
#include <cmath>
#include <cstdio>

#include "emshap/core/context.h"
#include "emshap/core/error.h"
#include "emshap/core/tensor.h"
#include "emshap/core/version.h"
#include "emshap/ops/activation.h"

int main() {
  emshap::Context ctx;
  emshap::Tensor x({2, 3}), y({2, 3});
  for (int i = 0; i < 6; ++i) x.view().ptr<float>()[i] = static_cast<float>(i - 3);
  emshap::ops::activation_forward(ctx, emshap::Activation::relu, x.view(), y.view());
  for (int i = 0; i < 6; ++i) {
    const float expected = i > 3 ? static_cast<float>(i - 3) : 0.0f;
    if (std::fabs(y.view().ptr<float>()[i] - expected) > 0) {
      std::printf("relu(%d) = %g, expected %g\n", i - 3, y.view().ptr<float>()[i], expected);
      return 1;
    }
  }
  // Errors of the library are caught by type across the library's boundary.
  try {
    emshap::ops::activation_forward(ctx, emshap::Activation::relu, x.view(), x.view().columns(0, 2));
    return 1;
  } catch (const emshap::ShapeError& error) {
    std::printf("as expected: %s\n", error.what());
  }
  std::printf("emshap %s on %s\n", emshap::version(), emshap::to_string(ctx.backend()));
}
