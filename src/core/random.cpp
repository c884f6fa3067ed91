#include "emshap/core/random.h"

namespace emshap {

std::uint32_t Generator::next_u32() { return 0; }

}  // namespace emshap
