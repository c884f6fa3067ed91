#pragma once
// Every error of the library: one sentence that says what, where, expected and got.
// The library never aborts, prints or exits; apps map ErrorKind to an exit code (apps/common).
#include <stdexcept>
#include <string>

#include "emshap/core/export.h"

namespace emshap {

enum class ErrorKind {
  internal,     ///< a bug or misuse of the C++ interface: exit code 1
  usage,        ///< wrong option, configuration or argument: exit code 2
  data,         ///< unreadable, corrupt or unusable input: exit code 3
  environment,  ///< missing GPU or broker, full disk: exit code 4
  quality,      ///< a quality gate failed: exit code 5
  numerical,    ///< NaN, infinity or a failed factorisation: exit code 6
  interrupted,  ///< stopped by the user after saving: exit code 130
};

/// The exit code that an app returns for an error of this kind.
EMSHAP_API int exit_code(ErrorKind kind);

class EMSHAP_API Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& what) : std::runtime_error(what), kind_(kind) {}
  ErrorKind kind() const noexcept { return kind_; }

 private:
  ErrorKind kind_;
};

/// Shapes that do not fit: "linear_forward: w has shape (12, 64), expected (13, 64) because x has 13
/// columns".
struct EMSHAP_API ShapeError : Error {
  explicit ShapeError(const std::string& what) : Error(ErrorKind::internal, what) {}
};
struct EMSHAP_API DTypeError : Error {
  explicit DTypeError(const std::string& what) : Error(ErrorKind::internal, what) {}
};
/// No such device, a device without a kernel, or operands on different devices.
struct EMSHAP_API DeviceError : Error {
  explicit DeviceError(const std::string& what) : Error(ErrorKind::environment, what) {}
};
struct EMSHAP_API CudaError : Error {
  explicit CudaError(const std::string& what) : Error(ErrorKind::environment, what) {}
};
/// An option or a configuration key that is unknown, missing or out of range.
struct EMSHAP_API ConfigError : Error {
  explicit ConfigError(const std::string& what) : Error(ErrorKind::usage, what) {}
};
/// Input that cannot be used: wrong column, unparsable cell, too few rows.
struct EMSHAP_API DataError : Error {
  explicit DataError(const std::string& what) : Error(ErrorKind::data, what) {}
};
/// A file that cannot be read or is not what it should be (data), or cannot be written (environment).
struct EMSHAP_API IoError : Error {
  explicit IoError(const std::string& what, ErrorKind kind = ErrorKind::data) : Error(kind, what) {}
};
struct EMSHAP_API NumericalError : Error {
  explicit NumericalError(const std::string& what) : Error(ErrorKind::numerical, what) {}
};
struct EMSHAP_API QualityError : Error {
  explicit QualityError(const std::string& what) : Error(ErrorKind::quality, what) {}
};
/// Work stopped on request, after what was done had been saved.
struct EMSHAP_API Interrupted : Error {
  explicit Interrupted(const std::string& what) : Error(ErrorKind::interrupted, what) {}
};

}  // namespace emshap
