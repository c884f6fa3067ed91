#pragma once
// A member that keeps a consumer group of the mock cluster from being empty.
//
// Seen in librdkafka 2.0.2: the first member of a group waits 3 s, one that comes to others waits for the
// session.timeout.ms of the member that asked last less 1 s, and who waits longer than its own session is
// thrown out for good. So sessions below 3 s need a group that is not empty, and all members the same
// session.
#include <memory>
#include <string>

namespace emshap::app {

class GroupKeeper {
 public:
  /// Joins `group` as a reader of `topic` (two partitions, in which nobody else is interested) with a session
  /// of 3.5 s; returns when it is in, after about 3 s. Throws IoError (environment) when it does not get in.
  GroupKeeper(const std::string& brokers, const std::string& group, const std::string& topic);
  ~GroupKeeper();

 private:
  struct Member;
  std::unique_ptr<Member> member_;
};

}  // namespace emshap::app
