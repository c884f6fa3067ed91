#include "emshap/ops/shard_gradients.h"

#include "ops/checks.h"
#include "ops/dispatch.h"

#define EMSHAP_BACKEND_HEADER "ops/shard_gradients_backend.h"
#include "ops/backends.h"

namespace emshap::ops {

void add_shard_gradients(Context& ctx, ConstTensorView slabs, ConstTensorView losses, TensorView gradient,
                         TensorView loss) {
  constexpr const char* op = "add_shard_gradients";
  check::same_kind(op, ctx, {{"gradient", gradient}, {"slabs", slabs}, {"loss", loss}});
  check::same_kind(op, ctx, {{"losses", losses}});
  check::contiguous(op, {"slabs", slabs}, "shards are added element by element");
  check::contiguous(op, {"gradient", gradient}, "members own ranges of it");
  check::vector(op, {"loss", loss}, 1, "it is one number");
  check::vector(op, {"losses", losses}, slabs.rows(), "slabs has one row a shard");
  if (slabs.rows() > 0) check::per_column(op, {"gradient", gradient}, {"slabs", slabs});
  EMSHAP_TRACE(ctx, op);
  EMSHAP_DISPATCH(
      ctx, gradient.dtype(),
      add_shard_gradients<T>(ctx, mat<T>(slabs), losses.ptr<double>(), mat<T>(gradient), loss.ptr<T>()));
}

}  // namespace emshap::ops
