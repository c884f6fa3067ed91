#include "emshap/ops/energy_loss.h"

#include "ops/checks.h"
#include "ops/dispatch.h"

#define EMSHAP_BACKEND_HEADER "ops/energy_loss_backend.h"
#include "ops/backends.h"

namespace emshap {

EnergyLoss parse_energy_loss(const std::string& name) {
  for (const EnergyLoss loss : {EnergyLoss::binary_nce, EnergyLoss::ranking_nce, EnergyLoss::importance})
    if (name == to_string(loss)) return loss;
  throw ConfigError(
      fmt::format("energy loss '{}' is not known, expected binary-nce, ranking-nce or importance", name));
}

const char* to_string(EnergyLoss loss) {
  switch (loss) {
    case EnergyLoss::binary_nce:
      return "binary-nce";
    case EnergyLoss::ranking_nce:
      return "ranking-nce";
    case EnergyLoss::importance:
      return "importance";
  }
  return "?";
}

namespace ops {

void energy_loss(Context& ctx, EnergyLoss kind, ConstTensorView scores, ConstTensorView limit,
                 TensorView loss, TensorView dscores) {
  constexpr const char* op = "energy_loss";
  check::same_kind(op, ctx, {{"scores", scores}, {"limit", limit}, {"loss", loss}, {"dscores", dscores}});
  if (scores.rows() > 0 && scores.cols() < 2)
    throw ShapeError(fmt::format(
        "{}: scores has {} columns, expected one of the data and at least one of draws", op, scores.cols()));
  if (limit.data() != nullptr) check::vector(op, {"limit", limit}, 1, "one limit serves the batch");
  check::vector(op, {"loss", loss}, 1, "it gets one mean");
  if (dscores.data() != nullptr) check::same_extent(op, {"dscores", dscores}, {"scores", scores});
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, scores.dtype(),
                  energy_loss<T>(ctx, kind, mat<T>(scores), mat<T>(limit), mat<T>(loss), mat<T>(dscores)));
}

void score_limit(Context& ctx, double share, ConstTensorView scores, TensorView limit) {
  constexpr const char* op = "score_limit";
  check::same_kind(op, ctx, {{"scores", scores}, {"limit", limit}});
  check::vector(op, {"limit", limit}, 1, "one limit serves the batch");
  if (!(share > 0 && share <= 1))
    throw ConfigError(fmt::format("{}: share is {}, expected above 0 and at most 1", op, share));
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, scores.dtype(), score_limit<T>(ctx, share, mat<T>(scores), mat<T>(limit)));
}

void importance_weights(Context& ctx, ConstTensorView log_w, TensorView weights, TensorView summary) {
  constexpr const char* op = "importance_weights";
  check::same_kind(op, ctx, {{"log_w", log_w}, {"weights", weights}, {"summary", summary}});
  if (weights.data() != nullptr) check::same_extent(op, {"weights", weights}, {"log_w", log_w});
  if (summary.data() != nullptr)
    check::shape(op, {"summary", summary}, {log_w.rows(), 3}, "it gets three numbers for each row of log_w");
  if (log_w.rows() > 0 && log_w.cols() == 0)
    throw ShapeError(fmt::format("{}: log_w has no columns, expected at least one draw a row", op));
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, log_w.dtype(),
                  importance_weights<T>(ctx, mat<T>(log_w), mat<T>(weights), mat<T>(summary)));
}

}  // namespace ops
}  // namespace emshap
