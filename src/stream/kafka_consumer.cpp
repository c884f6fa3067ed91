#include "emshap/stream/kafka_consumer.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <thread>

#include <fmt/format.h>

#include "emshap/core/error.h"

namespace emshap::stream {
namespace {

using Clock = std::chrono::steady_clock;

struct Release {
  void operator()(rd_kafka_conf_t* c) const { rd_kafka_conf_destroy(c); }
  void operator()(rd_kafka_queue_t* q) const { rd_kafka_queue_destroy(q); }
  void operator()(rd_kafka_topic_t* t) const { rd_kafka_topic_destroy(t); }
  void operator()(rd_kafka_topic_partition_list_t* l) const { rd_kafka_topic_partition_list_destroy(l); }
  void operator()(rd_kafka_error_t* e) const { rd_kafka_error_destroy(e); }
  void operator()(const rd_kafka_metadata_t* m) const { rd_kafka_metadata_destroy(m); }
  void operator()(rd_kafka_t* k) const {
    rd_kafka_destroy_flags(k, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);  // leave() has done it
  }
};
template <class T>
using Owned = std::unique_ptr<T, Release>;

/// Some hundred bytes of librdkafka come with each message it holds, so its queue stays small; what bridges
/// its pause of a second after the queue was full is held decoded, in less space (ingest.cpp).
const std::pair<const char*, const char*> defaults[] = {
    {"client.id", "emshap_ingest"},         {"allow.auto.create.topics", "false"},
    {"queued.max.messages.kbytes", "8192"}, {"fetch.max.bytes", "4194304"},
    {"fetch.error.backoff.ms", "100"},      {"log.connection.close", "false"},
    {"socket.keepalive.enable", "true"},
};
/// What the guarantees rest on; not to be changed by properties.
const std::pair<const char*, const char*> fixed[] = {
    {"enable.auto.commit", "false"}, {"enable.auto.offset.store", "false"},
    {"auto.offset.reset", "error"},  {"enable.partition.eof", "false"},
    {"log.queue", "true"},
};

/// Errors that waiting does not heal.
bool lasting(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
         error == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED || error == RD_KAFKA_RESP_ERR__FATAL ||
         error == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION;
}

/// Asks the leaders, on a thread of its own, for the ends of our partitions.
///
/// This also keeps reading fast: once librdkafka's queue was full, version 2.0 looks up to a second later
/// whether there is room again, unless something else wakes the thread of that broker, as this request does.
class EndsAsker {
 public:
  EndsAsker(rd_kafka_t* kafka, std::string topic)
      : kafka_(kafka), topic_(std::move(topic)), thread_([this] { work(); }) {}
  ~EndsAsker() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  EndsAsker(const EndsAsker&) = delete;
  EndsAsker& operator=(const EndsAsker&) = delete;

  void set_partitions(std::set<std::int32_t> partitions) {
    const std::lock_guard lock(mutex_);
    partitions_ = std::move(partitions);
    ends_.clear();
  }
  void ask() {
    {
      const std::lock_guard lock(mutex_);
      wanted_ = true;
    }
    changed_.notify_all();
  }
  std::int64_t end(std::int32_t partition) const {
    const std::lock_guard lock(mutex_);
    const auto found = ends_.find(partition);
    return found == ends_.end() ? -1 : found->second;
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return ending_ || wanted_; });
      if (ending_) return;
      wanted_ = false;
      if (partitions_.empty()) continue;
      const Owned<rd_kafka_topic_partition_list_t> l(
          rd_kafka_topic_partition_list_new(static_cast<int>(partitions_.size())));
      for (const std::int32_t p : partitions_)
        rd_kafka_topic_partition_list_add(l.get(), topic_.c_str(), p)->offset = RD_KAFKA_OFFSET_END;
      lock.unlock();
      rd_kafka_offsets_for_times(kafka_, l.get(), 500);
      lock.lock();
      for (int i = 0; i < l->cnt; ++i)
        if (l->elems[i].err == RD_KAFKA_RESP_ERR_NO_ERROR && l->elems[i].offset >= 0 &&
            partitions_.contains(l->elems[i].partition))
          ends_[l->elems[i].partition] = l->elems[i].offset;
    }
  }

  rd_kafka_t* const kafka_;
  const std::string topic_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::int32_t> partitions_;
  std::map<std::int32_t, std::int64_t> ends_;
  bool wanted_ = false, ending_ = false;
  std::thread thread_;
};

constexpr std::size_t almost_empty = 4096;  // messages in librdkafka's queue
constexpr std::size_t busy_poll = 256;      // messages of a poll that shows that there is much to read
constexpr auto ask_interval = std::chrono::milliseconds(30);
constexpr auto busy_time = std::chrono::milliseconds(1200);

}  // namespace

struct KafkaConsumer::Impl {
  KafkaOptions options;
  ProgressSink& sink;
  Owned<rd_kafka_t> kafka;
  Owned<rd_kafka_topic_t> topic;
  Owned<rd_kafka_queue_t> queue;
  std::set<std::int32_t> mine;
  std::unique_ptr<EndsAsker> asker;
  Clock::time_point last_busy{}, next_ask{};
  std::vector<rd_kafka_message_t*> raw;
  std::vector<KafkaMessage> messages;
  std::size_t held = 0;  // of `raw`, to be given back
  Polled polled;
  std::deque<Rebalance> pending;
  std::optional<Rebalance> unanswered;
  std::string last_error, lasting_error;
  bool joined = false, leaving = false, outage = false;
  Clock::time_point next_probe{};
  std::int64_t commits_failed = 0;
  int max_poll_interval_ms = 300000;

  Impl(const KafkaOptions& o, ProgressSink& s) : options(o), sink(s) {}
  ~Impl() { release(); }
  /// When much was read lately and librdkafka has little left, it is to fetch on.
  void ask_for_more() {
    const auto now = Clock::now();
    if (held >= busy_poll) last_busy = now;
    if (now - last_busy > busy_time || now < next_ask || rd_kafka_queue_length(queue.get()) > almost_empty)
      return;
    next_ask = now + ask_interval;
    asker->ask();
  }

  void log(LogLevel level, const std::string& text) {
    sink.log(level, without_secrets(text, options.properties));
  }
  void release() {
    for (std::size_t i = 0; i < held; ++i) rd_kafka_message_destroy(raw[i]);
    held = 0;
  }
  Owned<rd_kafka_topic_partition_list_t> list(const std::map<std::int32_t, std::int64_t>& offsets) const {
    Owned<rd_kafka_topic_partition_list_t> l(
        rd_kafka_topic_partition_list_new(static_cast<int>(offsets.size())));
    for (const auto& [partition, offset] : offsets)
      rd_kafka_topic_partition_list_add(l.get(), options.topic.c_str(), partition)->offset = offset;
    return l;
  }
  Owned<rd_kafka_topic_partition_list_t> list(const std::vector<std::int32_t>& partitions) const {
    Owned<rd_kafka_topic_partition_list_t> l(
        rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
    for (const std::int32_t p : partitions)
      rd_kafka_topic_partition_list_add(l.get(), options.topic.c_str(), p);
    return l;
  }
  bool cooperative() const {
    const char* protocol = rd_kafka_rebalance_protocol(kafka.get());
    return protocol != nullptr && std::string_view(protocol) == "COOPERATIVE";
  }
  void note(const char* what, rd_kafka_error_t* error) {
    const Owned<rd_kafka_error_t> owned(error);
    if (error != nullptr)
      log(LogLevel::warning, fmt::format("Kafka: {}: {}", what, rd_kafka_error_string(error)));
  }
  void note(const char* what, rd_kafka_resp_err_t error) {
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
      log(LogLevel::warning, fmt::format("Kafka: {}: {}", what, rd_kafka_err2str(error)));
  }
  void assign(const rd_kafka_topic_partition_list_t* l) {
    if (cooperative())
      note("assignment", rd_kafka_incremental_assign(kafka.get(), l));
    else
      note("assignment", rd_kafka_assign(kafka.get(), l));
  }
  void unassign(const rd_kafka_topic_partition_list_t* l) {
    if (cooperative())
      note("revocation", rd_kafka_incremental_unassign(kafka.get(), l));
    else
      note("revocation", rd_kafka_assign(kafka.get(), nullptr));
  }

  void on_error(rd_kafka_resp_err_t error, const std::string& reason) {
    if (error == RD_KAFKA_RESP_ERR__FATAL) {
      char text[512] = "";
      rd_kafka_fatal_error(kafka.get(), text, sizeof text);
      lasting_error = text;
      return;
    }
    if (error != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || last_error.empty()) last_error = reason;
    if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && joined && !outage && !leaving) {
      outage = true;
      next_probe = Clock::now() + std::chrono::seconds(1);
      log(LogLevel::warning, fmt::format("Kafka: no broker of {} answers ({}); trying again until one does",
                                         options.brokers, last_error));
    } else {
      log(LogLevel::debug, fmt::format("Kafka: {}: {}", rd_kafka_err2name(error), reason));
    }
  }
  void on_log(int level, const char* facility, const char* text) {
    // Lost connections are told once, by on_error, and topics are looked for by connect().
    const std::string_view name = facility;
    const bool known = name == "FAIL" || name == "ERROR" || name == "AUTOCREATE";
    log(level <= 4 && !known ? LogLevel::warning : LogLevel::debug,
        fmt::format("librdkafka: {}: {}", facility, text));
  }
  void on_rebalance(rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t* partitions) {
    const bool assigned = error == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    if (leaving) {  // nothing is held any more, but librdkafka waits for an answer
      assigned ? assign(partitions) : unassign(partitions);
      return;
    }
    if (!assigned && error != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
      note("rebalance", error);
      rd_kafka_assign(kafka.get(), nullptr);
      return;
    }
    Rebalance& r = pending.emplace_back();
    r.assigned = assigned;
    r.lost = !assigned && rd_kafka_assignment_lost(kafka.get()) != 0;
    for (int i = 0; i < partitions->cnt; ++i) r.partitions.push_back(partitions->elems[i].partition);
    rd_kafka_yield(kafka.get());
  }
  void on_commit(rd_kafka_resp_err_t error) {
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR || error == RD_KAFKA_RESP_ERR__NO_OFFSET) return;
    ++commits_failed;
    log(LogLevel::debug,
        fmt::format("Kafka did not take a commit ({}); the store has the offsets", rd_kafka_err2str(error)));
  }

  Owned<const rd_kafka_metadata_t> metadata(int milliseconds, rd_kafka_resp_err_t& error) {
    const rd_kafka_metadata_t* m = nullptr;
    error = rd_kafka_metadata(kafka.get(), 0, topic.get(), &m, milliseconds);
    return Owned<const rd_kafka_metadata_t>(m);
  }
  void probe() {
    const auto now = Clock::now();
    if (now < next_probe) return;
    next_probe = now + std::chrono::seconds(1);
    rd_kafka_resp_err_t error{};
    metadata(200, error);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) recovered();
  }
  void recovered() {
    outage = false;
    last_error.clear();
    log(LogLevel::info, fmt::format("Kafka: {} answers again", options.brokers));
  }
};

KafkaConsumer::KafkaConsumer(const KafkaOptions& options, ProgressSink& sink)
    : impl_(std::make_unique<Impl>(options, sink)) {
  Impl& im = *impl_;
  if (options.topic.empty() || options.topic[0] == '^')
    throw ConfigError(fmt::format("topic '{}': expected the name of one topic", options.topic));
  if (options.group.empty()) throw ConfigError("the name of the consumer group is empty");
  if (options.brokers.empty()) throw ConfigError("brokers: expected HOST:PORT, several with commas");
  Owned<rd_kafka_conf_t> conf(rd_kafka_conf_new());
  char text[512] = "";
  const auto set = [&](const std::string& name, const std::string& value) {
    const auto result = rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), text, sizeof text);
    if (result == RD_KAFKA_CONF_UNKNOWN)
      throw ConfigError(fmt::format("'{}' is not a property of librdkafka {}", name, rd_kafka_version_str()));
    if (result != RD_KAFKA_CONF_OK)
      throw ConfigError(
          fmt::format("property {}: {}", name, is_secret(name) ? "the value is not accepted" : text));
  };
  for (const auto& [name, value] : defaults) set(name, value);
  // Newer versions let the pause after a full queue be chosen; older ones do not know the name.
  rd_kafka_conf_set(conf.get(), "fetch.queue.backoff.ms", "50", text, sizeof text);
  for (const auto& [name, value] : options.properties) set(name, value);
  for (const auto& [name, value] : fixed) set(name, value);
  set("bootstrap.servers", options.brokers);
  set("group.id", options.group);
  char value[64] = "";
  std::size_t size = sizeof value;
  if (rd_kafka_conf_get(conf.get(), "max.poll.interval.ms", value, &size) == RD_KAFKA_CONF_OK)
    im.max_poll_interval_ms = std::atoi(value);

  rd_kafka_conf_set_opaque(conf.get(), &im);
  rd_kafka_conf_set_error_cb(conf.get(), [](rd_kafka_t*, int error, const char* reason, void* self) {
    static_cast<Impl*>(self)->on_error(static_cast<rd_kafka_resp_err_t>(error), reason);
  });
  rd_kafka_conf_set_log_cb(conf.get(),
                           [](const rd_kafka_t* k, int level, const char* facility, const char* line) {
                             static_cast<Impl*>(rd_kafka_opaque(k))->on_log(level, facility, line);
                           });
  rd_kafka_conf_set_rebalance_cb(
      conf.get(), [](rd_kafka_t*, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t* partitions,
                     void* self) { static_cast<Impl*>(self)->on_rebalance(error, partitions); });
  rd_kafka_conf_set_offset_commit_cb(
      conf.get(), [](rd_kafka_t*, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t*, void* self) {
        static_cast<Impl*>(self)->on_commit(error);
      });
  im.kafka.reset(rd_kafka_new(RD_KAFKA_CONSUMER, conf.get(), text, sizeof text));
  if (!im.kafka)
    throw ConfigError(fmt::format("Kafka client: {}", without_secrets(text, options.properties)));
  conf.release();  // taken over
  rd_kafka_set_log_queue(im.kafka.get(), nullptr);
  rd_kafka_poll_set_consumer(im.kafka.get());
  im.queue.reset(rd_kafka_queue_get_consumer(im.kafka.get()));
  im.topic.reset(rd_kafka_topic_new(im.kafka.get(), options.topic.c_str(), nullptr));
  if (!im.topic)
    throw ConfigError(fmt::format("topic '{}': {}", options.topic, rd_kafka_err2str(rd_kafka_last_error())));
  im.asker = std::make_unique<EndsAsker>(im.kafka.get(), options.topic);
}

KafkaConsumer::~KafkaConsumer() {
  leave(2000);
}

std::int32_t KafkaConsumer::connect(double seconds, const StopToken& stop) {
  Impl& im = *impl_;
  const auto start = Clock::now();
  bool said = false;
  while (!stop.stop_requested()) {
    rd_kafka_resp_err_t error{};
    const auto m = im.metadata(500, error);
    poll(1, 0);  // for what librdkafka has to say
    std::string problem;
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR || m->broker_cnt == 0) {
      problem = fmt::format("no broker of {} answers: {}", im.options.brokers,
                            im.last_error.empty() ? rd_kafka_err2str(error) : im.last_error);
    } else {
      const rd_kafka_metadata_topic_t* t = m->topic_cnt > 0 ? &m->topics[0] : nullptr;
      if (t != nullptr && t->err == RD_KAFKA_RESP_ERR_NO_ERROR && t->partition_cnt > 0)
        return t->partition_cnt;
      const auto reason = t != nullptr ? t->err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
      problem = fmt::format(
          "topic {} at {}: {}", im.options.topic, im.options.brokers,
          reason == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || reason == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
              ? "there is no such topic"
              : rd_kafka_err2str(reason));
      if (lasting(reason)) throw IoError(problem, ErrorKind::environment);
    }
    if (!im.lasting_error.empty()) throw IoError("Kafka: " + im.lasting_error, ErrorKind::environment);
    const double waited = std::chrono::duration<double>(Clock::now() - start).count();
    if (waited >= seconds)
      throw IoError(
          without_secrets(fmt::format("{} (waited {:.0f} s)", problem, waited), im.options.properties),
          ErrorKind::environment);
    if (!said && waited >= 1) {
      im.log(LogLevel::warning, fmt::format("{}; waiting up to {:.0f} s", problem, seconds));
      said = true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return 0;
}

void KafkaConsumer::subscribe() {
  Impl& im = *impl_;
  const auto topics = im.list(std::vector<std::int32_t>{RD_KAFKA_PARTITION_UA});
  if (const auto error = rd_kafka_subscribe(im.kafka.get(), topics.get());
      error != RD_KAFKA_RESP_ERR_NO_ERROR)
    throw IoError(fmt::format("topic {}: {}", im.options.topic, rd_kafka_err2str(error)),
                  ErrorKind::environment);
  im.joined = true;
}

const Polled& KafkaConsumer::poll(std::size_t most, int milliseconds) {
  Impl& im = *impl_;
  im.release();
  im.messages.clear();
  im.polled = {};
  if (im.pending.empty()) {
    if (im.outage) im.probe();
    if (im.raw.size() < most) im.raw.resize(most);
    const ssize_t got = rd_kafka_consume_batch_queue(im.queue.get(), milliseconds, im.raw.data(), most);
    im.held = got > 0 ? static_cast<std::size_t>(got) : 0;
    im.ask_for_more();
  }
  im.messages.reserve(im.held);
  for (std::size_t i = 0; i < im.held; ++i) {
    const rd_kafka_message_t& m = *im.raw[i];
    if (m.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      im.messages.push_back({static_cast<const char*>(m.payload), m.len, m.offset, m.partition});
    } else if (m.err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
      im.polled.out_of_range.push_back(m.partition);
    } else {
      const char* text = rd_kafka_message_errstr(&m);
      const std::string reason = text != nullptr ? text : rd_kafka_err2str(m.err);
      if (lasting(m.err)) im.lasting_error = reason;
      im.log(LogLevel::warning, fmt::format("Kafka: {}", reason));
    }
  }
  if (im.outage && !im.messages.empty()) im.recovered();
  if (!im.lasting_error.empty() && !im.leaving)
    throw IoError(without_secrets(fmt::format("Kafka: topic {}, group {}: {}", im.options.topic,
                                              im.options.group, im.lasting_error),
                                  im.options.properties),
                  ErrorKind::environment);
  im.polled.messages = im.messages;
  if (!im.pending.empty()) {
    im.polled.rebalance = std::move(im.pending.front());
    im.pending.pop_front();
    im.unanswered = im.polled.rebalance;
  }
  return im.polled;
}

void KafkaConsumer::take(const std::map<std::int32_t, std::int64_t>& offsets) {
  impl_->assign(impl_->list(offsets).get());
  impl_->unanswered.reset();
  for (const auto& [partition, offset] : offsets) impl_->mine.insert(partition);
  impl_->asker->set_partitions(impl_->mine);
}

void KafkaConsumer::give_up(const std::vector<std::int32_t>& partitions) {
  impl_->unassign(impl_->list(partitions).get());
  impl_->unanswered.reset();
  for (const std::int32_t p : partitions) impl_->mine.erase(p);
  impl_->asker->set_partitions(impl_->mine);
}

void KafkaConsumer::seek(const std::map<std::int32_t, std::int64_t>& offsets,
                         const std::map<std::int32_t, std::int64_t>& all) {
  Impl& im = *impl_;
  if (offsets.empty()) return;
  const auto l = im.list(offsets);
  const Owned<rd_kafka_error_t> error(rd_kafka_seek_partitions(im.kafka.get(), l.get(), 5000));
  bool failed = error != nullptr;
  for (int i = 0; i < l->cnt; ++i) failed = failed || l->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR;
  if (!failed) return;
  // A partition that came to rest with an error cannot be sought; it is started anew, and all others with it.
  const auto everything = im.list(all);
  if (im.cooperative()) im.unassign(everything.get());
  im.assign(everything.get());
}

void KafkaConsumer::pause(const std::vector<std::int32_t>& partitions) {
  impl_->note("pause", rd_kafka_pause_partitions(impl_->kafka.get(), impl_->list(partitions).get()));
}

void KafkaConsumer::resume(const std::vector<std::int32_t>& partitions) {
  impl_->note("resume", rd_kafka_resume_partitions(impl_->kafka.get(), impl_->list(partitions).get()));
}

std::optional<Watermarks> KafkaConsumer::ask_watermarks(std::int32_t partition, int milliseconds) {
  Watermarks w;
  const auto error = rd_kafka_query_watermark_offsets(impl_->kafka.get(), impl_->options.topic.c_str(),
                                                      partition, &w.low, &w.high, milliseconds);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR || w.low < 0 || w.high < 0) return std::nullopt;
  return w;
}

std::map<std::int32_t, std::int64_t> KafkaConsumer::ask_ends(const std::vector<std::int32_t>& partitions,
                                                             bool first, int milliseconds) {
  const auto l = impl_->list(partitions);
  for (int i = 0; i < l->cnt; ++i)  // these times stand for the ends in Kafka's ListOffsets request
    l->elems[i].offset = first ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END;
  rd_kafka_offsets_for_times(impl_->kafka.get(), l.get(), milliseconds);
  std::map<std::int32_t, std::int64_t> ends;
  for (int i = 0; i < l->cnt; ++i)
    if (l->elems[i].err == RD_KAFKA_RESP_ERR_NO_ERROR && l->elems[i].offset >= 0)
      ends[l->elems[i].partition] = l->elems[i].offset;
  return ends;
}

std::int64_t KafkaConsumer::known_end(std::int32_t partition) const {
  std::int64_t low = -1, high = -1;
  const auto error = rd_kafka_get_watermark_offsets(impl_->kafka.get(), impl_->options.topic.c_str(),
                                                    partition, &low, &high);
  const std::int64_t seen = error == RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0 ? high : -1;
  return std::max(seen, impl_->asker->end(partition));
}

void KafkaConsumer::commit(const std::map<std::int32_t, std::int64_t>& offsets) {
  if (offsets.empty()) return;
  const auto error = rd_kafka_commit(impl_->kafka.get(), impl_->list(offsets).get(), 1);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) impl_->on_commit(error);
}

std::int64_t KafkaConsumer::commits_failed() const {
  return impl_->commits_failed;
}
bool KafkaConsumer::outage() const {
  return impl_->outage;
}
int KafkaConsumer::max_poll_interval_ms() const {
  return impl_->max_poll_interval_ms;
}

void KafkaConsumer::leave(int milliseconds) {
  Impl& im = *impl_;
  if (im.leaving || !im.kafka) return;
  im.leaving = true;
  im.release();
  im.asker->set_partitions({});
  if (!im.joined) return;
  if (im.unanswered) im.pending.push_front(*im.unanswered);
  for (const Rebalance& r : im.pending)
    r.assigned ? im.assign(im.list(r.partitions).get()) : im.unassign(im.list(r.partitions).get());
  im.pending.clear();
  const Owned<rd_kafka_error_t> error(rd_kafka_consumer_close_queue(im.kafka.get(), im.queue.get()));
  const auto end = Clock::now() + std::chrono::milliseconds(milliseconds);
  im.raw.resize(std::max<std::size_t>(im.raw.size(), 256));
  while (error == nullptr && rd_kafka_consumer_closed(im.kafka.get()) == 0 && Clock::now() < end) {
    const ssize_t got = rd_kafka_consume_batch_queue(im.queue.get(), 20, im.raw.data(), 256);
    im.held = got > 0 ? static_cast<std::size_t>(got) : 0;
    im.release();
  }
}

}  // namespace emshap::stream
