#include "emshap/ops/draw_noise.h"

#include <algorithm>

#include "math/sobol.h"
#include "ops/checks.h"
#include "ops/dispatch.h"

#define EMSHAP_BACKEND_HEADER "ops/draw_noise_backend.h"
#include "ops/backends.h"

namespace emshap::ops {
namespace {

/// The direction numbers of all dimensions, made once.
const std::uint32_t* all_directions() {
  struct Table {
    std::uint32_t v[math::sobol_dimensions][32];
    Table() {
      for (int d = 0; d < math::sobol_dimensions; ++d) math::sobol_directions(d, v[d]);
    }
  };
  static const Table table;
  return table.v[0];
}

}  // namespace

void fill_draw_noise(Context& ctx, DrawNoise kind, const RandomKey& key,
                     std::span<const std::int64_t> numbers, std::int64_t first_draw, std::int64_t draws,
                     TensorView uniforms) {
  constexpr const char* op = "fill_draw_noise";
  check::same_kind(op, ctx, {{"uniforms", uniforms}});
  const auto rows = static_cast<std::int64_t>(numbers.size());
  if (first_draw < 0 || draws < 0 || uniforms.rows() != rows * draws)
    throw ShapeError(fmt::format("{}: uniforms has {} rows, expected {} for {} rows of {} draws from {} on",
                                 op, uniforms.rows(), rows * draws, rows, draws, first_draw));
  const std::int64_t blocks = (uniforms.cols() + 3) / 4;
  if (blocks * (first_draw + draws) > std::int64_t{1} << 28)
    throw ConfigError(fmt::format("{}: {} draws of {} numbers are more than a row's stream holds", op,
                                  first_draw + draws, uniforms.cols()));
  EMSHAP_TRACE(ctx, op);
  const bool sobol = kind == DrawNoise::sobol;
  const std::int64_t dimensions = sobol ? std::min<std::int64_t>(uniforms.cols(), math::sobol_dimensions) : 0;
  const std::uint32_t* directions = sobol ? all_directions() : nullptr;
  EMSHAP_DISPATCH(ctx, uniforms.dtype(),
                  fill_draw_noise<T>(ctx, key, numbers.data(), first_draw, draws, directions, dimensions,
                                     mat<T>(uniforms)));
}

}  // namespace emshap::ops
