#include "emshap/core/error.h"

namespace emshap {

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::internal:
      return 1;
    case ErrorKind::usage:
      return 2;
    case ErrorKind::data:
      return 3;
    case ErrorKind::environment:
      return 4;
    case ErrorKind::quality:
      return 5;
    case ErrorKind::numerical:
      return 6;
    case ErrorKind::interrupted:
      return 130;
  }
  return 1;
}

}  // namespace emshap
