#include "emshap/stream/sample.h"

namespace emshap::stream {

const char* to_string(Reason reason) {
  switch (reason) {
    case Reason::not_a_message:
      return "not a message";
    case Reason::no_time:
      return "no time";
    case Reason::future_time:
      return "time in the future";
    case Reason::no_node:
      return "no node_id";
    case Reason::unknown_node:
      return "unknown node";
    case Reason::not_finite:
      return "not finite";
    case Reason::negative_value:
      return "negative value";
    case Reason::repeated:
      return "repeated (node_id, time)";
    case Reason::too_large:
      return "too large";
  }
  return "";
}

}  // namespace emshap::stream
