#include "emshap/ops/shard_gradients.h"

#include "cpu/shard_sum.h"

#define EMSHAP_BACKEND cpu::EMSHAP_ISA
#include "ops/shard_gradients_backend.h"

namespace emshap::cpu::EMSHAP_ISA {

template <class T>
void add_shard_gradients(Context& ctx, Mat<const T> slabs, const double* losses, Mat<T> gradient, T* loss) {
  const std::int64_t n = gradient.rows * gradient.cols;
  const Workspace::Scope scope(ctx.workspace());
  double* published = ctx.workspace().take<double>(slabs.rows);
  for (std::int64_t s = 0; s < slabs.rows; ++s) published[s] = losses[s];
  {
    ShardSums<T> sums(ctx, slabs.data, slabs.rows, n);
    const Range own = member_range(ctx.team(), n);
    sums.add(own.begin, own.end, gradient.data);
  }
  double total = 0;
  ShardSums<double> sums(ctx, published, slabs.rows, 1);
  sums.store(0, 1, &total);
  *loss = static_cast<T>(total);
  sums.close();  // for both: nobody is here before all have added their ranges
}

template void add_shard_gradients<float>(Context&, Mat<const float>, const double*, Mat<float>, float*);
template void add_shard_gradients<double>(Context&, Mat<const double>, const double*, Mat<double>, double*);

}  // namespace emshap::cpu::EMSHAP_ISA
