// Breaks each rule of check_headers.cmake once; never compiled.
#include <Eigen/Dense>
#include <cuda_runtime>
#include "core/mat.h"
#if EMSHAP_WITH_CUDA
#endif
using namespace std;
