// The loop over a topic: poll, decode, hand over; assignments, gaps and conflicts.
#include <algorithm>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include "emshap/core/error.h"
#include "ingest_shared.h"

namespace emshap::stream {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t most_at_once = 4096;  // messages of one poll
constexpr int poll_ms = 50;
constexpr auto commit_interval = milliseconds(200);
constexpr auto look_interval = milliseconds(500);  // at lag, progress, gaps
constexpr double quiet_tail_seconds = 30;          // offsets at the end that are no messages

/// One partition of ours.
struct Partition {
  std::int64_t next = 0;         // offset of the next record to take
  std::uint32_t generation = 0;  // of the writer's
  int range = -1;                // in the open parcel
  bool assigned = false;
  bool waiting = false;     // to be sought: what comes before is of no use
  bool proven = false;      // a record came since reading began here, or the jump came twice
  bool lost_place = false;  // the broker does not have `next`
};

class TopicIngest {
 public:
  TopicIngest(FeatureStore& store, const KafkaOptions& kafka, const IngestOptions& options,
              IngestReport& report, ProgressSink& sink, const StopToken& stop)
      : options_(options),
        kafka_(kafka),
        report_(report),
        sink_(sink),
        stop_(stop),
        decoder_(options.acceptance),
        consumer_(kafka, sink),
        writer_(store, {options.ahead_bytes, options.store_seconds, options.store_name}, stop) {}

  void run() {
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

 private:
  void step() {
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

  bool known(std::int32_t p) const {
    return p >= 0 && static_cast<std::size_t>(p) < partitions_.size() &&
           partitions_[static_cast<std::size_t>(p)].assigned;
  }
  template <class F>
  void each_assigned(F&& f) {
    for (std::size_t i = 0; i < partitions_.size(); ++i)
      if (partitions_[i].assigned) f(static_cast<std::int32_t>(i), partitions_[i]);
  }
  std::map<std::int32_t, std::int64_t> places() {
    std::map<std::int32_t, std::int64_t> all;
    each_assigned([&](std::int32_t i, const Partition& p) { all[i] = p.next; });
    return all;
  }

  // Messages -----------------------------------------------------------------------------------------------
  bool enough() const {
    return options_.messages > 0 && report_.received - report_.discarded >= options_.messages;
  }

  void take_messages(std::span<const KafkaMessage> messages) {
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

  Range& range_of(std::int32_t i, Partition& p) {
    auto& ranges = open_.batch.ranges;
    if (p.range < 0) {
      if (ranges.empty()) opened_ = Clock::now();
      p.range = static_cast<int>(ranges.size());
      ranges.push_back({i, p.next, p.next});
      open_.generations.push_back(p.generation);
    }
    return ranges[static_cast<std::size_t>(p.range)];
  }

  /// The record after next is not `next`. Right after reading began, or began anew, it is fetched once more
  /// before it is believed. False: wait.
  bool jump(std::int32_t i, Partition& p, std::int64_t offset) {
    if (!p.proven) {
      p.proven = p.waiting = true;
      return false;
    }
    gap(i, p, offset, "missing offsets");
    return true;
  }

  void gap(std::int32_t i, Partition& p, std::int64_t next, const char* cause) {
    Range& range = range_of(i, p);
    open_.batch.gaps.push_back({i, p.next, next, cause});
    if (++gaps_told_ <= 20)
      sink_.log(LogLevel::warning,
                fmt::format("{} partition {}: offsets {} to {} are gone ({}); noted as a gap of {}{}",
                            kafka_.topic, i, p.next, next - 1, cause, next - p.next,
                            gaps_told_ == 20 ? "; further gaps are counted only" : ""));
    p.next = range.next = next;
  }

  /// Partitions whose next offset the broker does not have: older ones were removed, or the topic is another.
  void find_lost_places() {
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

  void seek_waiting() {
    std::map<std::int32_t, std::int64_t> offsets;
    each_assigned([&](std::int32_t i, Partition& p) {
      if (!p.waiting || p.lost_place) return;
      offsets[i] = p.next;
      p.waiting = false;
    });
    if (!offsets.empty()) consumer_.seek(offsets, places());
  }

  // Handing over -------------------------------------------------------------------------------------------
  bool open_due() const {
    const Batch& batch = open_.batch;
    if (batch.empty()) return false;
    return batch.records() >= options_.batch_records || open_.bytes >= options_.ahead_bytes / 4 ||
           seconds_since(opened_) >= options_.batch_seconds;
  }

  /// Blocks until the writer has room; when that takes long, partitions are paused and polling goes on, so
  /// that the group keeps us.
  void hand_over() {
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

  void drop_open(const std::vector<std::int32_t>& partitions) {
    report_.discarded += open_.remove(partitions);
    each_assigned([](std::int32_t, Partition& p) { p.range = -1; });
    const auto& ranges = open_.batch.ranges;
    for (std::size_t i = 0; i < ranges.size(); ++i)
      partitions_[static_cast<std::size_t>(ranges[i].partition)].range = static_cast<int>(i);
  }

  void take_written() {
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

  // The group ----------------------------------------------------------------------------------------------
  void assigned(const std::vector<std::int32_t>& partitions) {
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

  std::map<std::int32_t, std::int64_t> first_places(const std::vector<std::int32_t>& fresh) {
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

  void revoked(const Rebalance& change) {
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

  // The end ------------------------------------------------------------------------------------------------
  bool ended() {
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

  bool idle() {
    if (options_.until_idle <= 0 || !joined_) return false;
    if (consumer_.outage()) last_message_ = Clock::now();  // nobody knows what is there
    const double quiet = seconds_since(last_message_);
    if (quiet < options_.until_idle) return false;
    const std::int64_t behind = lag();
    if (behind == 0) return true;
    return behind > 0 && quiet >= options_.until_idle + quiet_tail_seconds;
  }

  /// After an error that is not the store's, what has been decoded is written all the same.
  void save() noexcept {
    try {
      if (open_.batch.empty() || writer_.push(open_, milliseconds(10000))) {
        open_ = Parcel();
        while (!writer_.drain(milliseconds(1000))) {
        }
      }
    } catch (const std::exception&) {  // the first error is told
    }
  }

  void flush() {
    hand_over();
    while (!writer_.drain(milliseconds(1000))) take_written();  // warnings of a store that is tried again
    next_commit_ = {};
    take_written();
  }

  /// Records of our partitions that have not been taken; -1 when the broker has not told of one of them yet.
  std::int64_t lag() {
    std::int64_t sum = 0;
    each_assigned([&](std::int32_t i, const Partition& p) {
      const std::int64_t end = consumer_.known_end(i);
      if (end < 0) sum = -1;
      if (sum >= 0) sum += std::max<std::int64_t>(0, end - p.next);
    });
    return sum;
  }

  void look() {
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

  void finish_counts() {
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

  const IngestOptions& options_;
  const KafkaOptions& kafka_;
  IngestReport& report_;
  ProgressSink& sink_;
  const StopToken& stop_;
  Decoder decoder_;
  KafkaConsumer consumer_;
  BatchWriter writer_;
  Parcel open_;
  std::vector<Partition> partitions_;
  std::map<std::int32_t, std::int64_t> to_commit_;
  Clock::time_point opened_{}, begun_{}, start_{}, last_message_{}, next_commit_{}, next_look_{},
      next_lost_{};
  std::int64_t gaps_told_ = 0;
  bool joined_ = false, outage_ = false, waited_ = false;
};

}  // namespace

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
