#pragma once
// emshap_datagen's messages: to a Kafka topic or into a file.
#include <cstdint>
#include <string>
#include <vector>

#include "common/app.h"
#include "emshap/data/host_simulator.h"

namespace emshap::app {

struct MessageOptions {
  HostSimulatorOptions simulator;  ///< its seed is the session's
  double poison = 0;
  std::string brokers, topic = "raw_metrics", compression = "none", ahead_of;
  std::vector<std::string> property;  ///< "name=value" of librdkafka, no secrets
  std::string properties;             ///< file of such lines, for secrets too
  std::int64_t rate = 0;              ///< messages a second, 0: as fast as possible
  std::string report, acknowledged;   ///< files to write; empty: none
};

/// Publishes one message a row and prints what was sent. Throws IoError (environment) when messages were not
/// acknowledged, after the reports were written.
void publish(const MessageOptions& options, Session& session);
/// The same messages into a file: format protobuf (each after its length as a varint) or jsonl.
void write_messages(const MessageOptions& options, const std::string& format, const std::string& file,
                    Session& session);

}  // namespace emshap::app
