// librdkafka's mock cluster as a process of its own, for tests and demonstrations: real protocol on loopback,
// messages in memory only, faults by commands on standard input.
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "common/app.h"
#include "emshap/core/error.h"
#include "mock_cluster.h"

namespace {

struct Options {
  std::int64_t brokers = 1;
  std::vector<std::string> topics{"raw_metrics:64"};
  bool with_parent = false;
};

void say(const std::string& line) {
  if (std::fprintf(stdout, "%s\n", line.c_str()) < 0 || std::fflush(stdout) != 0)
    throw emshap::IoError(fmt::format("standard output could not be written: {}", std::strerror(errno)),
                          emshap::ErrorKind::environment);
}

void create_topics(const Options& options, emshap::app::MockCluster& cluster) {
  for (const std::string& text : options.topics) {
    const std::size_t colon = text.rfind(':');
    const std::string count = colon == std::string::npos ? "" : text.substr(colon + 1);
    if (count.empty() || count.size() > 5 || count.find_first_not_of("0123456789") != std::string::npos)
      throw emshap::ConfigError(fmt::format("--topic is '{}', expected NAME:PARTITIONS", text));
    cluster.create_topic(text.substr(0, colon), std::stoll(count));
  }
}

/// Answers commands until "quit", the end of input or a signal.
void serve(emshap::app::MockCluster& cluster, const emshap::StopToken& stop) {
  std::string waiting;
  while (!stop.stop_requested()) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (poll(&input, 1, 100) <= 0) continue;  // a signal or no command yet
    char bytes[4096];
    const ssize_t got = read(STDIN_FILENO, bytes, sizeof bytes);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return;
    waiting.append(bytes, static_cast<std::size_t>(got));
    for (std::size_t end; (end = waiting.find('\n')) != std::string::npos; waiting.erase(0, end + 1)) {
      const std::string line = waiting.substr(0, end);
      say(line == "quit" ? "ok" : cluster.answer(line));
      if (line == "quit") return;
    }
  }
}

void run(const Options& options, emshap::app::Session& session) {
  std::signal(SIGPIPE, SIG_IGN);
  if (options.with_parent) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == 1) return;  // it ended before the request
  }
  emshap::app::MockCluster cluster(options.brokers);
  create_topics(options, cluster);
  say("bootstrap " + cluster.bootstrap());
  serve(cluster, session.stop());
}

}  // namespace

int main(int argc, char** argv) {
  using namespace emshap::app;
  App app(
      "emshap_mock_cluster",
      "Runs a Kafka cluster in memory for tests and demonstrations: prints its address, takes commands on "
      "standard input (help), ends with its input or on SIGTERM.");
  Options options;
  Command& command = app.command("", "",
                                 "  emshap_mock_cluster --brokers 3 --topic raw_metrics:64,other:4\n"
                                 "  echo help | emshap_mock_cluster\n");
  Settings& settings = command.settings;
  settings.add("cluster", "brokers", options.brokers, "Brokers, numbered from 1", between(1, 100));
  settings.add("cluster", "topic", options.topics, "Topics to create, NAME:PARTITIONS[,...]");
  settings.add("cluster", "with-parent", options.with_parent, "End when the process that started it ends");
  command.run = [&](Session& session) { run(options, session); };
  return app.run(argc, argv);
}
