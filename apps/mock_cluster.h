#pragma once
// librdkafka's mock cluster behind text commands: one line in, one line out.
#include <cstdint>
#include <memory>
#include <string>

namespace emshap::app {

class MockCluster {
 public:
  /// Brokers 1..brokers listen on free ports of 127.0.0.1. Throws IoError (environment).
  explicit MockCluster(std::int64_t brokers);
  ~MockCluster();

  /// "127.0.0.1:PORT,..."
  std::string bootstrap() const;
  /// Throws ConfigError for a topic that exists already or cannot be.
  void create_topic(const std::string& name, std::int64_t partitions);
  /// "ok ..." or "error ..." for one of the commands that help() lists; never throws.
  std::string answer(const std::string& line);
  static std::string help();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace emshap::app
