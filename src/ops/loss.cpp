#include "emshap/ops/loss.h"

#include "ops/checks.h"
#include "ops/dispatch.h"

#define EMSHAP_BACKEND_HEADER "ops/loss_backend.h"
#include "ops/backends.h"

namespace emshap {

Loss parse_loss(const std::string& name) {
  if (name == "mse") return Loss::mse;
  if (name == "huber") return Loss::huber;
  throw ConfigError(fmt::format("loss '{}' is not known, expected mse or huber", name));
}

const char* to_string(Loss loss) {
  switch (loss) {
    case Loss::mse:
      return "mse";
    case Loss::huber:
      return "huber";
  }
  return "?";
}

namespace ops {

void loss_forward(Context& ctx, Loss kind, double delta, ConstTensorView prediction, ConstTensorView target,
                  TensorView loss, TensorView dprediction) {
  constexpr const char* op = "loss_forward";
  check::same_kind(
      op, ctx,
      {{"prediction", prediction}, {"target", target}, {"loss", loss}, {"dprediction", dprediction}});
  check::same_extent(op, {"target", target}, {"prediction", prediction});
  check::vector(op, {"loss", loss}, 1, "it gets one mean");
  if (dprediction.data() != nullptr)
    check::same_extent(op, {"dprediction", dprediction}, {"prediction", prediction});
  if (kind == Loss::huber && !(delta > 0))
    throw ConfigError(fmt::format("{}: delta is {}, expected more than 0 for the Huber loss", op, delta));
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, prediction.dtype(),
                  loss_forward<T>(ctx, kind, delta, mat<T>(prediction), mat<T>(target), mat<T>(loss),
                                  mat<T>(dprediction)));
}

}  // namespace ops
}  // namespace emshap
