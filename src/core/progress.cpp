#include "emshap/core/progress.h"

namespace emshap {

ProgressSink& null_sink() {
  static ProgressSink sink;
  return sink;
}

}  // namespace emshap
