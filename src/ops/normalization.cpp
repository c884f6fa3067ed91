#include "emshap/ops/normalization.h"

#include <cmath>

#include "ops/checks.h"
#include "ops/dispatch.h"

#define EMSHAP_BACKEND_HEADER "ops/normalization_backend.h"
#include "ops/backends.h"

namespace emshap::ops {
namespace {

void check_epilogue(const char* op, const NormEpilogue& epilogue) {
  if (!derivative_from_output(epilogue.activation))
    throw ConfigError(
        fmt::format("{}: activation {} has no derivative from its output, expected identity, relu, "
                    "leaky_relu, tanh or sigmoid",
                    op, to_string(epilogue.activation)));
  if (!(epilogue.dropout >= 0 && epilogue.dropout < 1))
    throw ConfigError(fmt::format("{}: dropout is {}, expected 0 <= p < 1", op, epilogue.dropout));
  if (epilogue.dropout > 0 && epilogue.activation != Activation::relu)
    throw ConfigError(
        fmt::format("{}: dropout follows {}, expected relu", op, to_string(epilogue.activation)));
}

void check_eps(const char* op, double eps) {
  if (!(std::isfinite(eps) && eps > 0))
    throw ConfigError(fmt::format("{}: eps is {}, expected more than 0", op, eps));
}

}  // namespace

void batch_norm_forward(Context& ctx, ConstTensorView x, ConstTensorView gamma, ConstTensorView beta,
                        double eps, double momentum, TensorView running_mean, TensorView running_var,
                        const NormEpilogue& epilogue, TensorView y, TensorView mean, TensorView rstd) {
  constexpr const char* op = "batch_norm_forward";
  check::same_kind(op, ctx,
                   {{"x", x},
                    {"gamma", gamma},
                    {"beta", beta},
                    {"running_mean", running_mean},
                    {"running_var", running_var},
                    {"y", y},
                    {"mean", mean},
                    {"rstd", rstd}});
  check::per_column(op, {"gamma", gamma}, {"x", x});
  check::per_column(op, {"beta", beta}, {"x", x});
  check::per_column(op, {"running_mean", running_mean}, {"x", x});
  check::per_column(op, {"running_var", running_var}, {"x", x});
  check::same_extent(op, {"y", y}, {"x", x});
  check::per_column(op, {"mean", mean}, {"x", x});
  check::per_column(op, {"rstd", rstd}, {"x", x});
  check_eps(op, eps);
  if (!(momentum >= 0 && momentum <= 1))
    throw ConfigError(fmt::format("{}: momentum is {}, expected 0 to 1", op, momentum));
  check_epilogue(op, epilogue);
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(
      ctx, x.dtype(),
      batch_norm_forward<T>(ctx, mat<T>(x), mat<T>(gamma), mat<T>(beta), eps, momentum, mat<T>(running_mean),
                            mat<T>(running_var), epilogue, mat<T>(y), mat<T>(mean), mat<T>(rstd)));
}

void batch_norm_infer(Context& ctx, ConstTensorView x, ConstTensorView gamma, ConstTensorView beta,
                      double eps, ConstTensorView running_mean, ConstTensorView running_var,
                      Activation activation, TensorView y) {
  constexpr const char* op = "batch_norm_infer";
  check::same_kind(op, ctx,
                   {{"x", x},
                    {"gamma", gamma},
                    {"beta", beta},
                    {"running_mean", running_mean},
                    {"running_var", running_var},
                    {"y", y}});
  check::per_column(op, {"gamma", gamma}, {"x", x});
  check::per_column(op, {"beta", beta}, {"x", x});
  check::per_column(op, {"running_mean", running_mean}, {"x", x});
  check::per_column(op, {"running_var", running_var}, {"x", x});
  check::same_extent(op, {"y", y}, {"x", x});
  check_eps(op, eps);
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, x.dtype(),
                  batch_norm_infer<T>(ctx, mat<T>(x), mat<T>(gamma), mat<T>(beta), eps, mat<T>(running_mean),
                                      mat<T>(running_var), activation, mat<T>(y)));
}

void batch_norm_backward(Context& ctx, ConstTensorView dy, ConstTensorView x, ConstTensorView y,
                         ConstTensorView gamma, ConstTensorView mean, ConstTensorView rstd,
                         const NormEpilogue& epilogue, TensorView dx, TensorView dgamma, TensorView dbeta) {
  constexpr const char* op = "batch_norm_backward";
  check::same_kind(op, ctx,
                   {{"dy", dy},
                    {"x", x},
                    {"y", y},
                    {"gamma", gamma},
                    {"mean", mean},
                    {"rstd", rstd},
                    {"dx", dx},
                    {"dgamma", dgamma},
                    {"dbeta", dbeta}});
  check::same_extent(op, {"x", x}, {"dy", dy});
  if (epilogue.activation != Activation::identity) check::same_extent(op, {"y", y}, {"dy", dy});
  check::per_column(op, {"gamma", gamma}, {"dy", dy});
  check::per_column(op, {"mean", mean}, {"dy", dy});
  check::per_column(op, {"rstd", rstd}, {"dy", dy});
  check::same_extent(op, {"dx", dx}, {"dy", dy});
  check::per_column(op, {"dgamma", dgamma}, {"dy", dy});
  check::per_column(op, {"dbeta", dbeta}, {"dy", dy});
  check_epilogue(op, epilogue);
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(ctx, dy.dtype(),
                  batch_norm_backward<T>(ctx, mat<T>(dy), mat<T>(x), mat<T>(y), mat<T>(gamma), mat<T>(mean),
                                         mat<T>(rstd), epilogue, mat<T>(dx), mat<T>(dgamma), mat<T>(dbeta)));
}

}  // namespace emshap::ops
