// One batch, one transaction: positions are compared and locked, then rows, quarantine, gaps and the new
// positions are written.
#include "emshap/stream/feature_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "emshap/core/error.h"
#include "emshap/stream/feature_vector.h"
#include "stream/store_impl.h"
#include "stream/store_schema.h"
#include "stream/store_text.h"

namespace emshap::stream {
namespace {

std::int64_t unix_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// Ranges by partition. Throws Error (internal) where a batch contradicts itself: its records would be
/// counted in a place that they do not have.
std::vector<Range> checked_ranges(const Batch& batch) {
  std::vector<Range> ranges = batch.ranges;
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.partition < b.partition; });
  for (std::size_t i = 0; i < ranges.size(); ++i)
    if (ranges[i].first > ranges[i].next || (i > 0 && ranges[i].partition == ranges[i - 1].partition))
      throw Error(ErrorKind::internal,
                  fmt::format("batch of topic {}: partition {} has two ranges or a reversed one", batch.topic,
                              ranges[i].partition));
  const Range* last = nullptr;
  const auto check = [&](std::int32_t partition, std::int64_t offset) {
    if (last == nullptr || last->partition != partition) {
      const auto found =
          std::lower_bound(ranges.begin(), ranges.end(), partition,
                           [](const Range& range, std::int32_t p) { return range.partition < p; });
      last = found != ranges.end() && found->partition == partition ? &*found : nullptr;
    }
    if (last == nullptr || offset < last->first || offset >= last->next)
      throw Error(
          ErrorKind::internal,
          fmt::format("batch of topic {}: the record at partition {}, offset {} is in none of its ranges",
                      batch.topic, partition, offset));
  };
  for (const Sample& s : batch.samples) check(s.partition, s.offset);
  for (const Rejected& r : batch.rejected) check(r.partition, r.offset);
  return ranges;
}

/// Where a range would begin if the batch's gaps were records.
std::int64_t behind_gaps(const Batch& batch, const Range& range, std::int64_t stored) {
  for (bool moved = true; moved && stored != range.first;) {
    moved = false;
    for (const Gap& gap : batch.gaps)
      if (gap.partition == range.partition && gap.first == stored && gap.next > stored &&
          gap.next <= range.first) {
        stored = gap.next;
        moved = true;
        break;
      }
  }
  return stored;
}

Quarantined repeated_message(const Sample& sample, std::string topic, std::int64_t now) {
  Quarantined q{std::move(topic), to_string(Reason::repeated), {}, {}, sample.partition, sample.offset, now};
  q.detail = fmt::format("node_id {}, time {}", sample.node_id, sample.time);
  encode(sample, q.bytes);
  return q;
}

bool before(const Sample* a, const Sample* b) {
  const int nodes = a->node_id.compare(b->node_id);
  return nodes != 0 ? nodes < 0 : a->time < b->time;
}

}  // namespace

Repeated parse_repeated(const std::string& text) {
  if (text == "first") return Repeated::first;
  if (text == "last") return Repeated::last;
  throw ConfigError(fmt::format("repeated: \"{}\" is not known; expected first or last", text));
}

CommitResult EngineStore::commit(const Batch& batch, const std::string& fingerprint) {
  if (batch.empty()) return {};
  if (!is_storable(batch.topic))
    throw Error(ErrorKind::internal, "batch: the name of its topic is no UTF-8 text");
  const std::vector<Range> ranges = checked_ranges(batch);
  const std::lock_guard lock(mutex_);
  CommitResult result;
  transaction(true, [&] {
    result = write(batch, ranges, fingerprint);
    return result.written();
  });
  return result;
}

CommitResult EngineStore::write(const Batch& batch, const Ranges& ranges, const std::string& fingerprint) {
  CommitResult result;
  const auto stored = lock_positions(batch.topic, ranges);
  for (const Range& range : ranges) {
    const auto found = stored.find(range.partition);
    if (found != stored.end() && behind_gaps(batch, range, found->second) != range.first)
      result.conflicts.emplace(range.partition, found->second);
  }
  if (!result.written()) return result;

  const std::int64_t now = unix_now();
  std::vector<Quarantined> quarantine;
  for (const Rejected& r : batch.rejected)
    quarantine.push_back(
        {batch.topic, to_string(r.reason), storable(r.detail), r.bytes, r.partition, r.offset, now});
  write_samples(batch, result, quarantine);
  result.quarantined = static_cast<std::int64_t>(quarantine.size()) - result.repeated;
  if (!quarantine.empty()) engine_->insert_quarantined(quarantine);
  write_gaps(batch, result, now);
  write_positions(batch.topic, ranges, fingerprint);
  return result;
}

/// Rows that are absent are made first, with the range's own beginning, so that the row can be locked and two
/// writers of a new partition wait for each other. Always in the order of partitions: no deadlocks.
std::map<std::int32_t, std::int64_t> EngineStore::lock_positions(const std::string& topic,
                                                                 const Ranges& ranges) {
  std::string rows, partitions;
  for (const Range& r : ranges) {
    rows += fmt::format("{}($1, {}, {}, '')", rows.empty() ? "" : ", ", r.partition, r.first);
    partitions += fmt::format("{}{}", partitions.empty() ? "" : ", ", r.partition);
  }
  const StoreValue values[] = {topic};
  std::map<std::int32_t, std::int64_t> stored;
  engine_->run(fmt::format(R"(INSERT INTO progress (topic, "partition", next_offset, fingerprint) VALUES {} )"
                           R"(ON CONFLICT (topic, "partition") DO NOTHING)",
                           rows),
               values);
  engine_->run(
      fmt::format(R"(SELECT "partition", next_offset FROM progress WHERE topic = $1 AND "partition" )"
                  R"(IN ({}) ORDER BY "partition"{})",
                  partitions, engine_->for_update()),
      values, [&](const StoreRow& row) {
        stored.emplace(static_cast<std::int32_t>(row.integer(0)), row.integer(1));
        return true;
      });
  return stored;
}

/// Fills order_ with the samples to insert, one for each key. Sorted rows go to neighbouring places of the
/// table, and writers that insert in one order cannot wait for each other in a circle.
void EngineStore::sort_samples(const Batch& batch, CommitResult& result,
                               std::vector<Quarantined>& quarantine) {
  const std::int64_t now = unix_now();
  order_.clear();
  for (const Sample& s : batch.samples) {
    if (is_storable(s.node_id) && is_storable(s.extra)) {
      order_.push_back(&s);
      continue;
    }
    // Messages are checked when they are read: a last line of defence, for one such row would stop all.
    Sample text = s;
    text.node_id = storable(s.node_id);
    if (!is_storable(s.extra)) text.extra.clear();
    quarantine.push_back({batch.topic,
                          to_string(Reason::no_node),
                          fmt::format("node_id or extra is no text: {}", text.node_id),
                          {},
                          s.partition,
                          s.offset,
                          now});
    encode(text, quarantine.back().bytes);
  }
  if (!std::is_sorted(order_.begin(), order_.end(), before))
    std::stable_sort(order_.begin(), order_.end(), before);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < order_.size(); ++i) {
    if (kept == 0 || before(order_[kept - 1], order_[i])) {
      order_[kept++] = order_[i];
      continue;
    }
    const Sample* loser = order_[i];
    if (repeated_ == Repeated::last) std::swap(loser, order_[kept - 1]);
    quarantine.push_back(repeated_message(*loser, batch.topic, now));
    ++result.repeated;
  }
  order_.resize(kept);
}

void EngineStore::write_samples(const Batch& batch, CommitResult& result,
                                std::vector<Quarantined>& quarantine) {
  sort_samples(batch, result, quarantine);
  if (order_.empty()) return;
  twice_.clear();
  engine_->insert_samples(batch.topic, order_, twice_);
  result.stored = static_cast<std::int64_t>(order_.size() - twice_.size());
  if (twice_.empty()) return;
  if (repeated_ == Repeated::last) return replace_samples(batch, result, quarantine);
  const std::int64_t now = unix_now();
  for (const std::size_t i : twice_) quarantine.push_back(repeated_message(*order_[i], batch.topic, now));
  result.repeated += static_cast<std::int64_t>(twice_.size());
}

/// The stored samples of twice_ go to quarantine, and those of the batch take their place.
void EngineStore::replace_samples(const Batch& batch, CommitResult& result,
                                  std::vector<Quarantined>& quarantine) {
  static const std::string remove =
      fmt::format("DELETE FROM samples WHERE time = $1 AND node_id = $2 RETURNING {}", sample_columns());
  constexpr int attempts = 3;
  const std::int64_t now = unix_now();
  std::vector<const Sample*> again;
  Sample old;
  for (const std::size_t i : twice_) {
    const Sample& sample = *order_[i];
    const StoreValue key[] = {sample.time, sample.node_id};
    std::string topic;
    // In one statement, so that what is removed is what goes to quarantine. PostgreSQL finds nothing where
    // another writer replaced the row while we waited for it; the next attempt finds the new one.
    std::int64_t removed = 0;
    for (int attempt = 0; removed == 0 && attempt < attempts; ++attempt)
      engine_->run(remove, key, [&](const StoreRow& row) {
        read_sample(row, old);
        topic = row.text(sample_column_count - 3);
        ++removed;
        return true;
      });
    if (removed == 0) throw TryAgain("the store changes while samples are replaced");  // pruned
    quarantine.push_back(repeated_message(old, std::move(topic), now));
    again.push_back(&sample);
  }
  result.repeated += static_cast<std::int64_t>(again.size());
  twice_.clear();
  engine_->insert_samples(batch.topic, again, twice_);
  if (!twice_.empty()) throw TryAgain("the store changes while samples are replaced");
}

void EngineStore::write_gaps(const Batch& batch, CommitResult& result, std::int64_t now) {
  for (const Gap& gap : batch.gaps) {
    const std::string cause = storable(gap.cause);
    const StoreValue values[] = {batch.topic, std::int64_t{gap.partition}, gap.first, gap.next, cause, now};
    engine_->run(R"(INSERT INTO gaps (topic, "partition", first_offset, next_offset, cause, noted_at) )"
                 "VALUES ($1, $2, $3, $4, $5, $6)",
                 values);
    ++result.gaps;
    result.missed += gap.next - gap.first;
  }
}

void EngineStore::write_positions(const std::string& topic, const Ranges& ranges,
                                  const std::string& fingerprint) {
  std::string rows;
  for (const Range& r : ranges)
    rows += fmt::format("{}($1, {}, {}, $2)", rows.empty() ? "" : ", ", r.partition, r.next);
  const StoreValue values[] = {topic, fingerprint};
  engine_->run(
      fmt::format(R"(INSERT INTO progress (topic, "partition", next_offset, fingerprint) VALUES {} )"
                  R"(ON CONFLICT (topic, "partition") DO UPDATE SET next_offset = excluded.next_offset)"
                  ", fingerprint = excluded.fingerprint",
                  rows),
      values);
}

std::map<std::int32_t, Position> EngineStore::positions(const std::string& topic) {
  const std::lock_guard lock(mutex_);
  std::map<std::int32_t, Position> result;
  transaction(false, [&] {
    result.clear();
    const StoreValue values[] = {topic};
    engine_->run(
        R"(SELECT "partition", next_offset, fingerprint FROM progress WHERE topic = $1)", values,
        [&](const StoreRow& row) {
          result[static_cast<std::int32_t>(row.integer(0))] = {row.integer(1), std::string(row.text(2))};
          return true;
        });
    return true;
  });
  return result;
}

}  // namespace emshap::stream
