// Records of a topic are taken in order; what is missing between them becomes a gap.
#include <fmt/format.h>

#include "emshap/core/error.h"
#include "stream/topic_ingest.h"

namespace emshap::stream {

void TopicIngest::take_messages(std::span<const KafkaMessage> messages) {
  if (messages.empty()) return;
  last_message_ = Clock::now();
  const std::int64_t now = unix_seconds();
  Batch& batch = open_.batch;
  for (const KafkaMessage& m : messages) {
    if (!known(m.partition)) continue;
    Partition& p = partitions_[static_cast<std::size_t>(m.partition)];
    if (p.waiting || m.offset < p.next) continue;  // fetched before a seek
    if (enough()) {  // the rest may be wanted after all, if another consumer has some of these already
      each_assigned([](std::int32_t, Partition& q) {
        q.waiting = true;
        q.proven = false;
      });
      return;
    }
    if (m.offset > p.next && !jump(m.partition, p, m.offset)) continue;
    Range& range = range_of(m.partition, p);
    decoder_.decode({m.data, m.size}, m.partition, m.offset, now, batch);
    p.next = m.offset + 1;
    p.proven = true;
    range.next = p.next;
    ++report_.received;
    report_.bytes += static_cast<std::int64_t>(m.size);
    open_.bytes += static_cast<std::int64_t>(sizeof(Sample) + m.size);
  }
}

Range& TopicIngest::range_of(std::int32_t i, Partition& p) {
  auto& ranges = open_.batch.ranges;
  if (p.range < 0) {
    if (ranges.empty()) opened_ = Clock::now();
    p.range = static_cast<int>(ranges.size());
    ranges.push_back({i, p.next, p.next});
    open_.generations.push_back(p.generation);
  }
  return ranges[static_cast<std::size_t>(p.range)];
}

bool TopicIngest::jump(std::int32_t i, Partition& p, std::int64_t offset) {
  if (!p.proven) {
    p.proven = p.waiting = true;
    return false;
  }
  gap(i, p, offset, "missing offsets");
  return true;
}

void TopicIngest::gap(std::int32_t i, Partition& p, std::int64_t next, const char* cause) {
  Range& range = range_of(i, p);
  open_.batch.gaps.push_back({i, p.next, next, cause});
  if (++gaps_told_ <= 20)
    sink_.log(LogLevel::warning,
              fmt::format("{} partition {}: offsets {} to {} are gone ({}); noted as a gap of {}{}",
                          kafka_.topic, i, p.next, next - 1, cause, next - p.next,
                          gaps_told_ == 20 ? "; further gaps are counted only" : ""));
  p.next = range.next = next;
}

void TopicIngest::find_lost_places() {
  const auto now = Clock::now();
  if (now < next_lost_) return;
  bool answers = true;  // else the next one would wait in vain, too
  each_assigned([&](std::int32_t i, Partition& p) {
    if (!p.lost_place || !answers) return;
    const auto marks = consumer_.ask_watermarks(i, 2000);
    if (!marks) {
      answers = false;
      next_lost_ = now + std::chrono::seconds(1);
      return;
    }
    if (p.next > marks->high)
      throw DataError(
          fmt::format("topic {}, partition {}: {} stands at offset {}, but the topic ends at {}: it was "
                      "deleted and made "
                      "anew, or cut; read it into another store, or publish under another topic name",
                      kafka_.topic, i, options_.store_name, p.next, marks->high));
    if (p.next < marks->low) gap(i, p, marks->low, "retention");
    p.lost_place = false;
    p.waiting = true;
  });
}

void TopicIngest::seek_waiting() {
  std::map<std::int32_t, std::int64_t> offsets;
  each_assigned([&](std::int32_t i, Partition& p) {
    if (!p.waiting || p.lost_place) return;
    offsets[i] = p.next;
    p.waiting = false;
  });
  if (!offsets.empty()) consumer_.seek(offsets, places());
}

}  // namespace emshap::stream
