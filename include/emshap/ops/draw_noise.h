#pragma once
// The uniform numbers behind the draws of a proposal, as points that fill the unit cube evenly or
// independent ones.
#include <cstdint>
#include <span>

#include "emshap/core/context.h"
#include "emshap/core/random.h"
#include "emshap/core/tensor_view.h"

namespace emshap {

/// How the uniform numbers of the draws are made. Row r of a data set gets the same numbers wherever it
/// stands.
enum class DrawNoise : std::uint8_t {
  independent,  ///< Philox
  sobol,        ///< scrambled Sobol points (math/sobol.h), one scramble a row: about half the error of means;
                ///< beyond 256 dimensions (features) the rest is independent
};

namespace ops {

/// uniforms (n K, D), strictly between 0 and 1, D = F: row i K + k serves draw first_draw + k of the row
/// numbers[i] >= 0; feature t reads column t (see Proposal::draw). f32 or f64: floats are the
/// doubles with fewer digits. Same bits at every instruction-set level. Throws ConfigError when there are
/// more than 2^28 blocks of four numbers in a row's stream.
EMSHAP_API void fill_draw_noise(Context& ctx, DrawNoise kind, const RandomKey& key,
                                std::span<const std::int64_t> numbers, std::int64_t first_draw,
                                std::int64_t draws, TensorView uniforms);

}  // namespace ops
}  // namespace emshap
