#include "emshap/core/version.h"

namespace emshap {

const char* version() {
  return EMSHAP_VERSION;
}

const char* build_configuration() {
  return EMSHAP_COMPILER
#if defined(__x86_64__)
      ", CPU levels v2 v3 v4 eigen"
#else
      ", CPU level eigen"
#endif
#if EMSHAP_WITH_CUDA
      ", CUDA"
#else
      ", no CUDA"
#endif
#if EMSHAP_WITH_IO
      ", io"
#else
      ", no io"
#endif
      ;
}

}  // namespace emshap
