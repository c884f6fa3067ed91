// Batches go to the writer; what it has written, or found written by others, comes back.
#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "stream/topic_ingest.h"

namespace emshap::stream {
namespace {

using std::chrono::milliseconds;

constexpr auto commit_interval = milliseconds(200);

}  // namespace

bool TopicIngest::open_due() const {
  const Batch& batch = open_.batch;
  if (batch.empty()) return false;
  return batch.records() >= options_.batch_records || open_.bytes >= options_.ahead_bytes / 4 ||
         seconds_since(opened_) >= options_.batch_seconds;
}

void TopicIngest::hand_over() {
  if (open_.batch.empty()) return;
  const auto patience = milliseconds(std::clamp(consumer_.max_poll_interval_ms() / 4, 1, 1000));
  std::vector<std::int32_t> paused;
  std::optional<Rebalance> change;
  bool done = writer_.push(open_, patience);
  if (!done) {
    each_assigned([&](std::int32_t i, Partition&) { paused.push_back(i); });
    consumer_.pause(paused);
    sink_.log(LogLevel::debug, "the store is slow: reading pauses");
  }
  while (!done) {
    const Polled& polled = consumer_.poll(most_at_once, 1);  // messages of before are fetched again
    for (const std::int32_t p : polled.out_of_range)
      if (known(p)) partitions_[static_cast<std::size_t>(p)].lost_place = true;
    if (polled.rebalance) change = *polled.rebalance;
    done = writer_.push(open_, change ? milliseconds(10000) : milliseconds(100));
    if (change && !done) break;  // what is open is dropped with its partitions, or handed over later
  }
  if (done) {
    open_ = writer_.blank(kafka_.topic);
    each_assigned([](std::int32_t, Partition& p) { p.range = -1; });
  }
  if (!paused.empty()) {
    last_message_ = Clock::now();  // what came meanwhile has been dropped
    consumer_.resume(paused);
    each_assigned([](std::int32_t, Partition& p) {
      p.proven = false;
      p.waiting = true;
    });
  }
  if (change) {
    if (change->assigned)
      assigned(change->partitions);
    else
      revoked(*change);
  }
}

void TopicIngest::drop_open(const std::vector<std::int32_t>& partitions) {
  report_.discarded += open_.remove(partitions);
  each_assigned([](std::int32_t, Partition& p) { p.range = -1; });
  const auto& ranges = open_.batch.ranges;
  for (std::size_t i = 0; i < ranges.size(); ++i)
    partitions_[static_cast<std::size_t>(ranges[i].partition)].range = static_cast<int>(i);
}

void TopicIngest::take_written() {
  writer_.check();
  const Written written = writer_.take();
  add(report_, written, sink_);
  for (const auto& [i, offset] : written.positions)
    if (known(i)) to_commit_[i] = offset;
  for (const auto& [i, offset] : written.moved) {
    sink_.log(LogLevel::info,
              fmt::format("{} partition {}: another consumer has moved it to {}; going on there",
                          kafka_.topic, i, offset));
    to_commit_.erase(i);
    if (!known(i)) continue;
    Partition& p = partitions_[static_cast<std::size_t>(i)];
    drop_open({i});
    p.generation = writer_.generation(i);
    p.next = offset;
    p.waiting = true;
    p.proven = p.lost_place = false;
  }
  if (!to_commit_.empty() && Clock::now() >= next_commit_) {
    consumer_.commit(to_commit_);
    to_commit_.clear();
    next_commit_ = Clock::now() + commit_interval;
  }
}

void TopicIngest::save() noexcept {
  try {
    if (open_.batch.empty() || writer_.push(open_, milliseconds(10000))) {
      open_ = Parcel();
      while (!writer_.drain(milliseconds(1000))) {
      }
    }
  } catch (const std::exception&) {  // the first error is told
  }
}

void TopicIngest::flush() {
  hand_over();
  while (!writer_.drain(milliseconds(1000))) take_written();  // warnings of a store that is tried again
  next_commit_ = {};
  take_written();
}

}  // namespace emshap::stream
