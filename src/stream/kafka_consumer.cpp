#include "emshap/stream/kafka_consumer.h"

#include <algorithm>

#include "emshap/core/error.h"
#include "stream/kafka_consumer_impl.h"

namespace emshap::stream {
namespace {

using Clock = std::chrono::steady_clock;

/// Errors that waiting does not heal.
bool lasting(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
         error == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED || error == RD_KAFKA_RESP_ERR__FATAL ||
         error == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION;
}

}  // namespace

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
