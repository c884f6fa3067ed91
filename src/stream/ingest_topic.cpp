// The loop over a topic, its end and its report.
#include <algorithm>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "stream/topic_ingest.h"

namespace emshap::stream {
namespace {

using std::chrono::milliseconds;

constexpr int poll_ms = 50;
constexpr auto look_interval = milliseconds(500);  // at lag, progress, gaps
constexpr double quiet_tail_seconds = 30;          // offsets at the end that are no messages

}  // namespace

void TopicIngest::run() {
  if (consumer_.connect(options_.connect_seconds, stop_) == 0) {
    report_.ended = "stopped";
    return;
  }
  open_ = writer_.blank(kafka_.topic);
  consumer_.subscribe();
  begun_ = Clock::now();
  try {
    while (!ended()) step();
    consumer_.leave(10000);
  } catch (...) {
    save();
    finish_counts();
    throw;
  }
  finish_counts();
}

void TopicIngest::step() {
  const std::int64_t room = std::max<std::int64_t>(1, options_.batch_records - open_.batch.records());
  const Polled& polled = consumer_.poll(std::min(most_at_once, static_cast<std::size_t>(room)), poll_ms);
  take_messages(polled.messages);
  for (const std::int32_t p : polled.out_of_range)
    if (known(p)) partitions_[static_cast<std::size_t>(p)].lost_place = true;
  if (polled.rebalance) {
    const Rebalance change = *polled.rebalance;
    if (change.assigned)
      assigned(change.partitions);
    else
      revoked(change);
  }
  take_written();
  find_lost_places();
  if (open_due()) hand_over();
  seek_waiting();
  look();
}

bool TopicIngest::ended() {
  std::string reason;
  if (stop_.stop_requested())
    reason = "stopped";
  else if (enough())
    reason = fmt::format("{} messages", options_.messages);
  else if (options_.for_seconds > 0 && seconds_since(begun_) >= options_.for_seconds)
    reason = "time is over";
  else if (idle())
    reason = "idle";
  if (reason.empty()) return false;
  flush();
  // Records may have been dropped for another consumer's sake: then there are not enough yet.
  if (reason.ends_with("messages") && !enough()) return false;
  report_.ended = reason;
  return true;
}

bool TopicIngest::idle() {
  if (options_.until_idle <= 0 || !joined_) return false;
  if (consumer_.outage()) last_message_ = Clock::now();  // nobody knows what is there
  const double quiet = seconds_since(last_message_);
  if (quiet < options_.until_idle) return false;
  const std::int64_t behind = lag();
  if (behind == 0) return true;
  return behind > 0 && quiet >= options_.until_idle + quiet_tail_seconds;
}

std::int64_t TopicIngest::lag() {
  std::int64_t sum = 0;
  each_assigned([&](std::int32_t i, const Partition& p) {
    const std::int64_t end = consumer_.known_end(i);
    if (end < 0) sum = -1;
    if (sum >= 0) sum += std::max<std::int64_t>(0, end - p.next);
  });
  return sum;
}

void TopicIngest::look() {
  const auto now = Clock::now();
  if (now < next_look_) return;
  next_look_ = now + look_interval;
  if (consumer_.outage() && !outage_) ++report_.outages;
  outage_ = consumer_.outage();
  if (!joined_ && !waited_ && seconds_since(begun_) > 15) {
    waited_ = true;
    sink_.log(LogLevel::warning,
              fmt::format("group {} has not given out partitions for 15 s; still waiting", kafka_.group));
  }
  report_.lag = joined_ ? lag() : -1;
  if (joined_) report_.seconds = seconds_since(start_);
  Progress progress = progress_of(report_, options_.messages);
  if (!joined_) progress.stage = "waiting for partitions,";
  sink_.progress(progress);
  warn_of_zeros(report_, decoder_.presence(), options_.acceptance.absent, sink_);
}

void TopicIngest::finish_counts() {
  add(report_, writer_.take(), sink_);
  report_.discarded += open_.batch.records();
  open_.clear();
  if (joined_) report_.seconds = seconds_since(start_);
  // Waiting for more that never came says nothing of the rate.
  if (report_.ended == "idle")
    report_.seconds = std::max(0.0, std::chrono::duration<double>(last_message_ - start_).count());
  report_.commits_failed = consumer_.commits_failed();
  report_.lag = joined_ ? lag() : -1;
  warn_of_zeros(report_, decoder_.presence(), options_.acceptance.absent, sink_);
}

void ingest_topic(FeatureStore& store, const KafkaOptions& kafka, const IngestOptions& options,
                  IngestReport& report, ProgressSink& sink, const StopToken& stop) {
  report = {};
  report.topic = kafka.topic;
  report.store = options.store_name;
  try {
    TopicIngest(store, kafka, options, report, sink, stop).run();
  } catch (const IoError& e) {
    report.ended = "failed";
    if (report.batches == 0) throw;
    throw IoError(fmt::format("{}; {}", e.what(), standing(report)), e.kind());
  } catch (...) {
    report.ended = "failed";
    throw;
  }
}

}  // namespace emshap::stream
