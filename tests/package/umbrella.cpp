// Links everything that was installed.
#include <cstdio>

#include "emshap/core/version.h"
#if CONSUMER_HAS_IO
#include "emshap/io/onnx_schema.h"
#endif

int main() {
  std::printf("emshap %s\n%s\n", emshap::version(), emshap::build_configuration());
#if CONSUMER_HAS_IO
  std::printf("onnx IR version %lld\n", static_cast<long long>(emshap::io::linked_onnx_ir_version()));
#endif
}
