#pragma once
// How long work reports to its caller and is asked to stop. The library installs no signal handler and prints
// nothing: an app passes a sink and a token in.
#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "emshap/core/export.h"

namespace emshap {

/// Passed by reference: set by a signal handler or another thread, polled by long work between steps.
class StopToken {
 public:
  void request_stop() noexcept { flag_.store(true, std::memory_order_relaxed); }
  bool stop_requested() const noexcept { return flag_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> flag_{false};
};

/// One report: where the work stands.
struct Progress {
  std::string stage;                                   ///< "training", "exporting" ...
  std::int64_t done = 0;                               ///< units done
  std::int64_t total = 0;                              ///< units in all, 0 when unknown
  std::string unit;                                    ///< "epoch", "row" ...
  std::vector<std::pair<std::string, double>> values;  ///< e.g. {"loss", .1}, shown in this order
};

enum class LogLevel { debug, info, warning, error };

/// Receives progress and log lines. Implementations must be cheap when nothing is shown.
class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  virtual void progress(const Progress&) {}
  virtual void log(LogLevel, const std::string&) {}
};

/// Discards everything; the default of every function that takes a sink.
EMSHAP_API ProgressSink& null_sink();

}  // namespace emshap
