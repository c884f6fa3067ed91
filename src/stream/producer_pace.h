#pragma once
// How far a producer is ahead of a consumer group, in bytes of each partition.
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

namespace emshap::stream {

class ProducerPace {
 public:
  ProducerPace(std::int32_t partitions, std::int64_t most_ahead)
      : partitions_(static_cast<std::size_t>(partitions)), most_ahead_(most_ahead) {}

  /// `count` messages up to `next` stand in the partition already.
  void found(std::int32_t partition, std::int64_t next, std::int64_t count);
  void sent(std::int32_t partition, std::size_t bytes);
  void acknowledged(std::int32_t partition, std::int64_t offset, std::size_t bytes);
  void failed(std::int32_t partition, std::size_t bytes) { at(partition).sent -= size(bytes); }
  void committed(std::int32_t partition, std::int64_t next);
  bool too_far(std::int32_t partition) const {
    const State& state = partitions_[static_cast<std::size_t>(partition)];
    return state.sent - state.released > most_ahead_;
  }

 private:
  /// The messages before `offset` have `total` bytes; one mark stands for many messages.
  struct Mark {
    std::int64_t offset, total;
  };
  struct State {
    std::int64_t sent = 0, acknowledged = 0, released = 0;
    std::deque<Mark> marks;
  };
  State& at(std::int32_t partition) { return partitions_[static_cast<std::size_t>(partition)]; }
  /// A message that is alone in its message set: 61 bytes of header and a few of its own.
  static std::int64_t size(std::size_t bytes) { return static_cast<std::int64_t>(bytes) + 70; }

  std::vector<State> partitions_;
  std::int64_t most_ahead_;
};

inline void ProducerPace::found(std::int32_t partition, std::int64_t next, std::int64_t count) {
  State& state = at(partition);
  state.sent = state.acknowledged = 200 * count;
  state.marks.push_back({next, state.sent});
}

inline void ProducerPace::sent(std::int32_t partition, std::size_t bytes) {
  at(partition).sent += size(bytes);
}

inline void ProducerPace::acknowledged(std::int32_t partition, std::int64_t offset, std::size_t bytes) {
  constexpr std::int64_t apart = 16 << 10;
  State& state = at(partition);
  state.acknowledged += size(bytes);
  const std::int64_t last = state.marks.empty() ? state.released : state.marks.back().total;
  if (state.acknowledged - last >= apart) state.marks.push_back({offset + 1, state.acknowledged});
}

inline void ProducerPace::committed(std::int32_t partition, std::int64_t next) {
  State& state = at(partition);
  while (!state.marks.empty() && state.marks.front().offset <= next) {
    state.released = state.marks.front().total;
    state.marks.pop_front();
  }
}

}  // namespace emshap::stream
