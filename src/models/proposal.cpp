#include "emshap/models/proposal.h"

namespace emshap {

Proposal::~Proposal() = default;

}  // namespace emshap
