#include "emshap/explain/value_function.h"

namespace emshap {

ValueFunction::~ValueFunction() = default;

void CoalitionValues::ensure(std::int64_t B, std::int64_t C, std::int64_t G) {
  value.ensure({B, C}, DType::f64);
  effective.ensure({B, C}, DType::f64);
  deviation.ensure({B, C, G}, DType::f64);
  clamped = 0;
  drawn = 0;
}

}  // namespace emshap
