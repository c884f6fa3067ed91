// Partitions come and go; the store says where each begins.
#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "stream/topic_ingest.h"

namespace emshap::stream {
namespace {

using std::chrono::milliseconds;

}  // namespace

void TopicIngest::assigned(const std::vector<std::int32_t>& partitions) {
  drop_open(partitions);
  const auto stored = writer_.positions(kafka_.topic);
  std::map<std::int32_t, std::int64_t> offsets;
  std::vector<std::int32_t> fresh;
  for (const std::int32_t i : partitions) {
    const auto found = stored.find(i);
    if (found != stored.end())
      offsets[i] = found->second.next_offset;
    else
      fresh.push_back(i);
  }
  for (const auto& [i, offset] : first_places(fresh)) offsets[i] = offset;
  std::erase_if(fresh, [&](std::int32_t i) { return !offsets.contains(i); });  // stopped meanwhile
  for (const auto& [i, offset] : offsets) {
    if (static_cast<std::size_t>(i) >= partitions_.size())
      partitions_.resize(static_cast<std::size_t>(i) + 1);
    Partition& p = partitions_[static_cast<std::size_t>(i)];
    p = {};
    p.assigned = true;
    p.next = offset;
    p.generation = writer_.renew(i);
    report_.positions.try_emplace(i, offset);
  }
  // A new partition's beginning is kept even if nothing comes: what comes later is then not passed over.
  for (const std::int32_t i : fresh) range_of(i, partitions_[static_cast<std::size_t>(i)]);
  consumer_.take(offsets);
  last_message_ = Clock::now();
  if (!joined_) {
    joined_ = true;
    start_ = Clock::now();
  }
  sink_.log(LogLevel::info, fmt::format("{}: {} partitions assigned, {} of them new", kafka_.topic,
                                        partitions.size(), fresh.size()));
}

std::map<std::int32_t, std::int64_t> TopicIngest::first_places(const std::vector<std::int32_t>& fresh) {
  std::map<std::int32_t, std::int64_t> places;
  const auto start = Clock::now();
  while (places.size() < fresh.size()) {
    places = consumer_.ask_ends(fresh, options_.from == From::beginning, 5000);
    if (places.size() == fresh.size() || stop_.stop_requested()) break;
    if (seconds_since(start) > options_.connect_seconds)
      throw IoError(
          fmt::format("topic {}: the brokers {} did not tell the offsets of {} new partitions in {:.0f} s",
                      kafka_.topic, kafka_.brokers, fresh.size() - places.size(), seconds_since(start)),
          ErrorKind::environment);
    std::this_thread::sleep_for(milliseconds(100));
  }
  return places;
}

void TopicIngest::revoked(const Rebalance& change) {
  ++report_.rebalances;
  // What is in flight is written first. Should that take too long it is dropped: the next owner reads it.
  const auto patience = milliseconds(std::clamp(consumer_.max_poll_interval_ms() / 2, 1, 10000));
  if (open_.batch.empty() || writer_.push(open_, patience)) {
    open_ = writer_.blank(kafka_.topic);
    each_assigned([](std::int32_t, Partition& p) { p.range = -1; });
    writer_.drain(patience);
  }
  drop_open(change.partitions);
  next_commit_ = {};
  take_written();
  for (const std::int32_t i : change.partitions) {
    writer_.renew(i);
    to_commit_.erase(i);
    if (known(i)) partitions_[static_cast<std::size_t>(i)] = {};
  }
  consumer_.give_up(change.partitions);
  sink_.log(LogLevel::info, fmt::format("{}: {} partitions {}", kafka_.topic, change.partitions.size(),
                                        change.lost ? "lost" : "given up"));
}

}  // namespace emshap::stream
