#include "datagen_messages.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <cmath>
#include <ctime>
#include <map>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/stream/kafka_producer.h"
#include "emshap/stream/message_generator.h"

namespace emshap::app {
namespace {

using Clock = std::chrono::steady_clock;

/// How many messages of each kind were made.
struct Counts {
  std::int64_t good = 0, bytes = 0;
  std::array<std::int64_t, stream::reason_count> spoiled{};

  void add(const stream::GeneratedMessage& message) {
    ++(message.fate ? spoiled[static_cast<std::size_t>(*message.fate)] : good);
    bytes += static_cast<std::int64_t>(message.bytes.size());
  }
  std::int64_t messages() const {
    std::int64_t n = good;
    for (const std::int64_t count : spoiled) n += count;
    return n;
  }
  nlohmann::ordered_json poison() const {
    nlohmann::ordered_json object = nlohmann::ordered_json::object();
    for (std::size_t r = 0; r < spoiled.size(); ++r)
      if (spoiled[r] > 0) object[to_string(static_cast<stream::Reason>(r))] = spoiled[r];
    return object;
  }
  std::string text() const {
    std::string out = fmt::format("good {}", good);
    const nlohmann::ordered_json kinds = poison();
    for (const auto& [reason, count] : kinds.items())
      out += fmt::format(", {} {}", reason, count.get<std::int64_t>());
    return out;
  }
};

/// Where the acknowledged messages of a partition stand.
struct Place {
  std::int64_t messages = 0, first = -1, last = -1;
};

stream::KafkaProperties properties_of(const MessageOptions& options) {
  stream::KafkaProperties properties;
  if (!options.properties.empty()) stream::add_properties_file(properties, options.properties);
  stream::add_properties_environment(properties, environ);
  for (const std::string& text : options.property) stream::add_property(properties, text, "--property");
  return properties;
}

HostSimulatorOptions simulated(const MessageOptions& options, const Session& session) {
  HostSimulatorOptions simulator = options.simulator;
  simulator.seed = session.seed();
  const std::int64_t last = simulator.start + (simulator.rows - 1) /
                                                  std::max<std::int64_t>(simulator.nodes, 1) *
                                                  simulator.interval;
  if (simulator.rows > 0 && last > std::time(nullptr))
    throw ConfigError(
        fmt::format("--rows {} of {} nodes every {} s end at the time {}, which is in the future; "
                    "use an earlier --start, a shorter --interval or more --nodes",
                    simulator.rows, simulator.nodes, simulator.interval, last));
  return simulator;
}

std::string varint(std::size_t value) {
  std::string out;
  for (; value >= 128; value >>= 7) out.push_back(static_cast<char>((value & 127) | 128));
  out.push_back(static_cast<char>(value));
  return out;
}

std::string json_line(const stream::Sample& sample) {
  std::string line = fmt::format("{{\"time\":{},\"node_id\":\"{}\",\"power_consumption\":{}", sample.time,
                                 sample.node_id, sample.power_consumption);
  for (std::size_t i = 0; i < stream::metric_count; ++i)
    if (!std::isnan(sample.metrics[i]))
      line += fmt::format(",\"{}\":{}", stream::metric_names[i], sample.metrics[i]);
  return line + "}\n";
}

class Publishing {
 public:
  Publishing(const MessageOptions& options, Session& session) : options_(options), session_(session) {
    if (!options.acknowledged.empty()) {
      log_ = std::make_unique<AtomicFile>(options.acknowledged);
      log_->write("partition,offset,hash,kind\n");
    }
  }

  void run() {
    const HostSimulatorOptions simulator = simulated(options_, session_);
    stream::MessageGenerator generator(simulator, options_.poison);
    stream::ProducerOptions producing;
    producing.brokers = options_.brokers;
    producing.topic = options_.topic;
    producing.compression = options_.compression;
    producing.ahead_of = options_.ahead_of;
    producing.properties = properties_of(options_);
    stream::KafkaProducer producer(producing, session_.stop(), session_.sink(),
                                   [this](const stream::Delivery& delivery) { take(delivery); });
    const auto begin = Clock::now();
    const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
    stream::GeneratedMessage message;
    std::optional<std::string> stopped, broken;
    try {
      for (std::int64_t n = 0; generator.next(message); ++n) {
        if (session_.stop().stop_requested()) throw Interrupted("stopped");
        while (options_.rate > 0 && static_cast<double>(n) > seconds() * static_cast<double>(options_.rate)) {
          producer.poll(1);
          if (session_.stop().stop_requested()) throw Interrupted("stopped");
        }
        producer.send(message.key, message.bytes,
                      message.fate ? 1 + static_cast<std::uint64_t>(*message.fate) : 0);
        counts_.add(message);
        if (n % 4096 == 0) session_.sink().progress({"publishing", n, simulator.rows, "message", {}});
      }
    } catch (const Interrupted& e) {
      stopped = e.what();
    } catch (const IoError& e) {  // what was sent is counted all the same
      broken = e.what();
    }
    try {
      producer.flush();
    } catch (const IoError& e) {
      if (!broken) broken = e.what();
    }
    write_reports(producer, seconds());
    if (producer.failed() > 0)
      throw IoError(fmt::format("{} of {} messages to topic {} were not acknowledged: {}", producer.failed(),
                                producer.sent(), options_.topic, producer.first_error()),
                    ErrorKind::environment);
    if (broken) throw IoError(*broken, ErrorKind::environment);
    if (stopped)
      throw Interrupted(fmt::format("stopped after {} of {} messages", producer.sent(), simulator.rows));
  }

 private:
  void take(const stream::Delivery& delivery) {
    if (!delivery.error.empty()) return;
    Place& place = places_[delivery.partition];
    if (place.messages++ == 0) place.first = delivery.offset;
    place.last = delivery.offset;
    if (log_)
      log_->write(fmt::format(
          "{},{},{:016x},{}\n", delivery.partition, delivery.offset, stream::message_hash(delivery.bytes),
          delivery.tag == 0 ? "good" : to_string(static_cast<stream::Reason>(delivery.tag - 1))));
  }

  void write_reports(const stream::KafkaProducer& producer, double seconds) {
    if (log_) log_->commit();
    if (!options_.report.empty()) {
      nlohmann::ordered_json report{{"topic", options_.topic},
                                    {"seed", session_.seed()},
                                    {"messages", producer.sent()},
                                    {"acknowledged", producer.acknowledged()},
                                    {"failed", producer.failed()},
                                    {"good", counts_.good},
                                    {"spoiled", counts_.messages() - counts_.good},
                                    {"poison", counts_.poison()},
                                    {"bytes", counts_.bytes},
                                    {"seconds", seconds}};
      for (const auto& [partition, place] : places_)
        report["partitions"].push_back({{"partition", partition},
                                        {"messages", place.messages},
                                        {"first_offset", place.first},
                                        {"last_offset", place.last}});
      write_file_atomically(options_.report, report.dump(2) + "\n");
    }
    session_.print(fmt::format(
        "topic {}: {} messages sent, {} acknowledged, {} failed ({}), {:.0f} a second, seed {}\n",
        options_.topic, producer.sent(), producer.acknowledged(), producer.failed(), counts_.text(),
        static_cast<double>(producer.sent()) / std::max(seconds, 1e-9), session_.seed()));
  }

  const MessageOptions& options_;
  Session& session_;
  Counts counts_;
  std::map<std::int32_t, Place> places_;
  std::unique_ptr<AtomicFile> log_;
};

}  // namespace

void publish(const MessageOptions& options, Session& session) {
  Publishing(options, session).run();
}

void write_messages(const MessageOptions& options, const std::string& format, const std::string& file,
                    Session& session) {
  const HostSimulatorOptions simulator = simulated(options, session);
  AtomicFile out(file);
  Counts counts;
  if (format == "jsonl") {
    HostSimulator hosts(simulator);
    std::vector<HostSample> block(1024);
    while (const std::int64_t n = hosts.next(block))
      for (std::int64_t i = 0; i < n; ++i, ++counts.good)
        out.write(json_line(stream::to_sample(block[static_cast<std::size_t>(i)])));
  } else {
    stream::MessageGenerator generator(simulator, options.poison);
    for (stream::GeneratedMessage message; generator.next(message);) {
      out.write(varint(message.bytes.size()) + message.bytes);
      counts.add(message);
    }
  }
  if (session.stop().stop_requested()) throw Interrupted(fmt::format("stopped; {} was not written", file));
  out.commit();
  session.print(
      fmt::format("{}: {} messages ({}), seed {}\n", file, counts.messages(), counts.text(), session.seed()));
}

}  // namespace emshap::app
