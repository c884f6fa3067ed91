// Declares a family's backend functions once per backend of this build. No include guard: each front does
//   #define EMSHAP_BACKEND_HEADER "ops/<family>_backend.h"
//   #include "ops/backends.h"
// The backend header wraps its declarations in `namespace emshap::EMSHAP_BACKEND { ... }`, so that a
// signature is written in one place and a backend that lacks it fails to link.
#if defined(__x86_64__)
#define EMSHAP_BACKEND cpu::v2
#include EMSHAP_BACKEND_HEADER
#undef EMSHAP_BACKEND
#define EMSHAP_BACKEND cpu::v3
#include EMSHAP_BACKEND_HEADER
#undef EMSHAP_BACKEND
#define EMSHAP_BACKEND cpu::v4
#include EMSHAP_BACKEND_HEADER
#undef EMSHAP_BACKEND
#endif
#define EMSHAP_BACKEND cpu::eigen
#include EMSHAP_BACKEND_HEADER
#undef EMSHAP_BACKEND
#if EMSHAP_WITH_CUDA
#define EMSHAP_BACKEND cuda
#include EMSHAP_BACKEND_HEADER
#undef EMSHAP_BACKEND
#endif
#undef EMSHAP_BACKEND_HEADER
