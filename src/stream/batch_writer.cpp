#include "batch_writer.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "emshap/core/error.h"

namespace emshap::stream {
namespace {

using Clock = std::chrono::steady_clock;
using Lock = std::unique_lock<std::mutex>;

}  // namespace

std::int64_t Parcel::remove(const std::vector<std::int32_t>& partitions) {
  const auto gone = [&](const auto& entry) {
    return std::find(partitions.begin(), partitions.end(), entry.partition) != partitions.end();
  };
  const std::int64_t before = batch.records();
  std::erase_if(batch.samples, gone);
  std::erase_if(batch.rejected, gone);
  std::erase_if(batch.gaps, gone);
  for (std::size_t i = batch.ranges.size(); i-- > 0;) {
    if (!gone(batch.ranges[i])) continue;
    batch.ranges.erase(batch.ranges.begin() + static_cast<std::ptrdiff_t>(i));
    generations.erase(generations.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return before - batch.records();
}

void Parcel::clear() {
  batch.clear();
  generations.clear();
  fingerprint.clear();
  bytes = 0;
}

BatchWriter::BatchWriter(FeatureStore& store, Options options, const StopToken& stop)
    : store_(store), options_(std::move(options)), stop_(stop), thread_([this] { work(); }) {}

BatchWriter::~BatchWriter() {
  {
    const Lock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Parcel BatchWriter::blank(const std::string& topic) {
  Parcel parcel;
  {
    const Lock lock(mutex_);
    if (!spare_.empty()) {
      parcel = std::move(spare_.back());
      spare_.pop_back();
    }
  }
  parcel.clear();
  parcel.batch.topic = topic;
  return parcel;
}

bool BatchWriter::push(Parcel& parcel, Milliseconds wait) {
  {
    Lock lock(mutex_);
    const auto room = [&] {
      return failure_ != nullptr || queued_bytes_ == 0 || queued_bytes_ + parcel.bytes <= options_.most_bytes;
    };
    if (!changed_.wait_for(lock, wait, room)) return false;
    rethrow();
    queued_bytes_ += parcel.bytes;
    queue_.push_back({std::move(parcel), nullptr});
  }
  changed_.notify_all();
  return true;
}

bool BatchWriter::drain(Milliseconds wait) {
  Lock lock(mutex_);
  const bool done =
      changed_.wait_for(lock, wait, [&] { return failure_ != nullptr || (queue_.empty() && !busy_); });
  rethrow();
  return done;
}

std::map<std::int32_t, Position> BatchWriter::positions(const std::string& topic) {
  Lock lock(mutex_);
  answer_.reset();
  queue_.push_back({{}, &topic});
  changed_.notify_all();
  changed_.wait(lock, [&] { return failure_ != nullptr || answer_.has_value(); });
  rethrow();
  return *std::exchange(answer_, std::nullopt);
}

std::uint32_t BatchWriter::generation(std::int32_t partition) {
  const Lock lock(mutex_);
  return generations_[partition];
}

std::uint32_t BatchWriter::renew(std::int32_t partition) {
  const Lock lock(mutex_);
  return ++generations_[partition];
}

Written BatchWriter::take() {
  const Lock lock(mutex_);
  return std::exchange(written_, {});
}

void BatchWriter::check() {
  const Lock lock(mutex_);
  rethrow();
}

void BatchWriter::rethrow() {
  if (failure_ != nullptr) std::rethrow_exception(failure_);
}

void BatchWriter::work() {
  Lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return ending_ || !queue_.empty(); });
    if (ending_) return;
    Job job = std::move(queue_.front());
    queue_.pop_front();
    busy_ = true;
    lock.unlock();
    std::exception_ptr failure;
    std::optional<std::map<std::int32_t, Position>> answer;
    const std::int64_t bytes = job.parcel.bytes;
    try {
      if (job.topic != nullptr)
        insist("read", [&] { answer = store_.positions(*job.topic); });
      else
        write(job.parcel);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    busy_ = false;
    if (job.topic != nullptr) {
      answer_ = std::move(answer);
    } else {
      queued_bytes_ -= bytes;
      if (failure != nullptr) written_.discarded += job.parcel.batch.records();
      job.parcel.clear();
      spare_.push_back(std::move(job.parcel));
    }
    if (failure != nullptr) {
      failure_ = failure;
      for (const Job& waiting : queue_) written_.discarded += waiting.parcel.batch.records();
      queue_.clear();
      queued_bytes_ = 0;
      changed_.notify_all();
      return;
    }
    changed_.notify_all();
  }
}

void BatchWriter::write(Parcel& parcel) {
  while (true) {
    std::vector<std::int32_t> stale;
    {
      const Lock lock(mutex_);
      for (std::size_t i = 0; i < parcel.batch.ranges.size(); ++i)
        if (generations_[parcel.batch.ranges[i].partition] != parcel.generations[i])
          stale.push_back(parcel.batch.ranges[i].partition);
      if (!stale.empty()) written_.discarded += parcel.remove(stale);
    }
    if (parcel.batch.empty() || commit(parcel)) return;
  }
}

/// Uses the store until it works, for retry_seconds at most; returns whether it took more than one attempt.
bool BatchWriter::insist(const char* what, const std::function<void()>& use) {
  const auto start = Clock::now();
  double delay = 0.05;
  bool retried = false;
  while (true) {
    try {
      use();
      break;
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::environment) throw;
      const double waited = std::chrono::duration<double>(Clock::now() - start).count();
      if (waited >= options_.retry_seconds || !pause(std::min(delay, options_.retry_seconds - waited)))
        throw IoError(fmt::format("{} could not be {}{}: {}", options_.store_name, what,
                                  retried ? fmt::format(" for {:.0f} s", waited) : "", e.what()),
                      ErrorKind::environment);
      const Lock lock(mutex_);
      if (!retried)
        written_.lines.emplace_back(LogLevel::warning,
                                    fmt::format("{} could not be {}: {}; trying again for {:.0f} s",
                                                options_.store_name, what, e.what(), options_.retry_seconds));
      ++written_.retries;
      retried = true;
      delay = std::min(2 * delay, 5.0);
    }
  }
  const Lock lock(mutex_);
  if (retried)
    written_.lines.emplace_back(LogLevel::info, fmt::format("{} can be {} again", options_.store_name, what));
  return retried;
}

/// False after a conflict: the rest is to be written without the partitions that others have moved on.
bool BatchWriter::commit(Parcel& parcel) {
  CommitResult result;
  const bool retried = insist("written", [&] { result = store_.commit(parcel.batch, parcel.fingerprint); });
  const Lock lock(mutex_);
  // A lost connection leaves open whether the transaction was done: if all partitions stand exactly where it
  // would have brought them, it was.
  const auto& ranges = parcel.batch.ranges;
  const bool done_before =
      retried && !result.written() && std::all_of(ranges.begin(), ranges.end(), [&](const Range& r) {
        const auto found = result.conflicts.find(r.partition);
        return found == result.conflicts.end() ? r.first == r.next : found->second == r.next;
      });
  if (done_before) {
    result.stored = static_cast<std::int64_t>(parcel.batch.samples.size());
    result.quarantined = static_cast<std::int64_t>(parcel.batch.rejected.size());
    result.gaps = static_cast<std::int64_t>(parcel.batch.gaps.size());
    for (const Gap& gap : parcel.batch.gaps) result.missed += gap.next - gap.first;
  } else if (!result.written()) {
    for (const auto& [partition, offset] : result.conflicts) {
      ++generations_[partition];
      ++written_.conflicts;
      written_.moved[partition] = offset;
      written_.positions[partition] = offset;
    }
    return false;
  }
  ++written_.batches;
  written_.stored += result.stored;
  written_.rejected += result.quarantined;
  written_.repeated += result.repeated;
  written_.gaps += result.gaps;
  written_.missed += result.missed;
  for (const Rejected& r : parcel.batch.rejected) ++written_.reasons[static_cast<std::size_t>(r.reason)];
  for (const Range& r : ranges) written_.positions[r.partition] = r.next;
  return true;
}

/// Waits before the next attempt; false when there is none. A stop leaves one more.
bool BatchWriter::pause(double seconds) {
  if (stopped_in_pause_) return false;
  const auto end =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  Lock lock(mutex_);
  while (!ending_ && !stop_.stop_requested() && Clock::now() < end)
    changed_.wait_for(lock, std::min<Clock::duration>(end - Clock::now(), std::chrono::milliseconds(50)));
  stopped_in_pause_ = stop_.stop_requested();
  return !ending_;
}

}  // namespace emshap::stream
