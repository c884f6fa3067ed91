// Ops that have no CUDA kernel yet. Each throws and names itself; the configure summary prints the list.
#include "core/mat.h"
#include "emshap/core/context.h"
#include "emshap/core/error.h"
#include "emshap/ops/density.h"
#include "emshap/ops/draw_noise.h"
#include "emshap/ops/energy_loss.h"
#include "emshap/ops/masked_input.h"

#define EMSHAP_BACKEND cuda
#include "ops/density_backend.h"
#include "ops/draw_noise_backend.h"
#include "ops/draw_step_backend.h"
#include "ops/energy_loss_backend.h"
#include "ops/gather_backend.h"
#include "ops/masked_input_backend.h"
#include "ops/reduction_backend.h"

// EMSHAP_UNPORTED(name, parameter types)
#define EMSHAP_UNPORTED(name, ...)                                        \
  template <>                                                             \
  void name<float>(__VA_ARGS__) {                                         \
    throw DeviceError(#name " has no CUDA kernel yet; use --device cpu"); \
  }

namespace emshap::cuda {

using In = Mat<const float>;
using Out = Mat<float>;
using InDouble = Mat<const double>;
using InInt = Mat<const std::int32_t>;

EMSHAP_UNPORTED(mixture_loss, Context&, In, In, In, In, In, Out, Out)
EMSHAP_UNPORTED(mixture_from_head, Context&, In, In, In, In, Out)
EMSHAP_UNPORTED(mixture_log_density, Context&, In, In, Out)
EMSHAP_UNPORTED(mixture_log_interval, Context&, In, In, In, Out)
EMSHAP_UNPORTED(mixture_moments, Context&, In, Out, Out)
EMSHAP_UNPORTED(mixture_draw, Context&, In, In, In, Out, Out)
EMSHAP_UNPORTED(categorical_loss, Context&, In, In, InInt, In, Out, Out)
EMSHAP_UNPORTED(categorical_log_probabilities, Context&, In, In, In, Out)
EMSHAP_UNPORTED(categorical_draw, Context&, In, In, In, Mat<std::int32_t>, Out)
EMSHAP_UNPORTED(categorical_values, Context&, In, InInt, Out)
EMSHAP_UNPORTED(energy_loss, Context&, EnergyLoss, In, In, Out, Out)
EMSHAP_UNPORTED(score_limit, Context&, double, In, Out)
EMSHAP_UNPORTED(importance_weights, Context&, In, Out, Out)
EMSHAP_UNPORTED(fill_draw_noise, Context&, const RandomKey&, const std::int64_t*, std::int64_t, std::int64_t,
                const std::uint32_t*, std::int64_t, Out)
EMSHAP_UNPORTED(random_masks, Context&, const RandomKey&, std::int64_t, const double*, double, In, Out, Out)
EMSHAP_UNPORTED(masked_input, Context&, In, In, In, In, InInt, InInt, Out)
EMSHAP_UNPORTED(sum_over_rows, Context&, In, Out)
EMSHAP_UNPORTED(sum_over_columns, Context&, In, Out)
EMSHAP_UNPORTED(sum, Context&, In, Out)
EMSHAP_UNPORTED(sum_of_squares_shared, Context&, In, Out)
EMSHAP_UNPORTED(log_sum_exp, Context&, In, Out)
EMSHAP_UNPORTED(log_sum_exp_backward, Context&, In, In, In, Out)
EMSHAP_UNPORTED(gather_rows, Context&, In, const std::int32_t*, Out)
EMSHAP_UNPORTED(scatter_rows, Context&, In, const std::int32_t*, Out)
EMSHAP_UNPORTED(scatter_add_rows, Context&, In, const std::int32_t*, Out)
EMSHAP_UNPORTED(sum_table_lines, Context&, In, Mat<const std::int32_t>, In, const float*, bool, Out)
EMSHAP_UNPORTED(draw_from_state, Context&, In, const float*, double, In, In, const float*, In, In,
                const float*, const float*, float*, float*, std::int64_t)
EMSHAP_UNPORTED(advance_state, Context&, In, const float*, const float*, In, const std::int32_t*, In,
                const float*, Out)

}  // namespace emshap::cuda
