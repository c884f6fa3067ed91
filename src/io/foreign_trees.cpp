#include "io/foreign_trees.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "emshap/core/error.h"

namespace emshap::io::foreign {

Aggregate aggregate_of(const std::string& name) {
  constexpr std::array names = {"AVERAGE", "SUM", "MIN", "MAX"};
  for (std::size_t i = 0; i < names.size(); ++i)
    if (name == names[i]) return static_cast<Aggregate>(i);
  throw IoError(fmt::format("its aggregate function is '{}', expected AVERAGE, SUM, MIN or MAX", name));
}

PostTransform post_transform_of(const std::string& name) {
  constexpr std::array names = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
  for (std::size_t i = 0; i < names.size(); ++i)
    if (name == names[i]) return static_cast<PostTransform>(i);
  throw IoError(fmt::format(
      "its post transform is '{}', expected NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO or PROBIT", name));
}

template <class T>
Trees<T>::Trees(std::vector<TreeNode<T>> nodes, std::vector<std::int32_t> roots, Aggregate aggregate,
                std::int64_t columns, std::int64_t targets)
    : aggregate_(aggregate), columns_(columns), targets_(targets) {
  const auto total = static_cast<std::int32_t>(nodes.size());
  if (roots.empty()) throw IoError("has no trees");
  // Depth first, the yes side next, so that a walk reads forward; a node that two branches share stays one.
  enum class Mark : std::uint8_t { fresh, open, done };
  std::vector<Mark> marks(nodes.size(), Mark::fresh);
  std::vector<std::int32_t> place(nodes.size(), -1), order;
  struct Visit {
    std::int32_t node;
    int next;
  };
  std::vector<Visit> stack;
  const auto enter = [&](std::int32_t child) {
    if (child < 0 || child >= total)
      throw IoError(fmt::format("a tree has a branch to node {} of {}", child, total));
    if (marks[n(child)] == Mark::open) throw IoError("a tree comes back to one of its nodes");
    if (marks[n(child)] == Mark::done) return;
    marks[n(child)] = Mark::open;
    place[n(child)] = static_cast<std::int32_t>(order.size());
    order.push_back(child);
    stack.push_back({child, 0});
  };
  for (const std::int32_t root : roots) {
    enter(root);
    while (!stack.empty()) {
      Visit& top = stack.back();
      const TreeNode<T>& node = nodes[n(top.node)];
      if (!node.leaf && top.next < 2) {
        enter(top.next++ == 0 ? node.yes : node.no);
      } else {
        marks[n(top.node)] = Mark::done;
        stack.pop_back();
      }
    }
  }
  for (const std::int32_t root : roots) roots_.push_back(place[n(root)]);
  constexpr T infinite = std::numeric_limits<T>::infinity();
  for (const std::int32_t from : order) {
    TreeNode<T> node = std::move(nodes[n(from)]);
    const std::int32_t own = static_cast<std::int32_t>(splits_.size());
    vote_begin_.push_back(static_cast<std::int32_t>(votes_.size()));
    Split split{infinite, 0, {own, own}};
    if (node.leaf) {
      for (const auto& vote : node.votes)
        if (vote.target < 0 || vote.target >= targets)
          throw IoError(fmt::format("a leaf votes for target {} of {}", vote.target, targets));
      votes_.insert(votes_.end(), node.votes.begin(), node.votes.end());
    } else {
      if (node.feature < 0 || node.feature >= columns)
        throw IoError(fmt::format("a tree asks for column {} of {}", node.feature, columns));
      node.yes = place[n(node.yes)];
      node.no = place[n(node.no)];
      const bool open = node.branch == Branch::lt || node.branch == Branch::gte;
      const bool swapped = node.branch == Branch::gte || node.branch == Branch::gt;
      // x < t is x <= the number before t.
      split.threshold = open ? std::nextafter(node.value, -infinite) : node.value;
      split.feature = node.feature;
      split.next[0] = swapped ? node.no : node.yes;
      split.next[1] = swapped ? node.yes : node.no;
      careful_ = careful_ || node.branch == Branch::eq || node.branch == Branch::neq ||
                 node.branch == Branch::member || !std::isfinite(node.value);
    }
    splits_.push_back(split);
    std::int32_t members = -1;
    if (node.branch == Branch::member) {
      members = static_cast<std::int32_t>(members_.size());
      members_.push_back(std::move(node.members));
    }
    nodes_.push_back({node.value, node.feature, node.yes, node.no, members, node.branch, node.leaf,
                      node.missing_goes_yes});
  }
  vote_begin_.push_back(static_cast<std::int32_t>(votes_.size()));
}

template <class T>
std::int32_t Trees<T>::walk_carefully(std::int32_t at, const T* x) const {
  while (!nodes_[n(at)].leaf) {
    const Careful& node = nodes_[n(at)];
    const T v = x[node.feature];
    bool yes = false;
    switch (node.branch) {
      case Branch::leq:
        yes = v <= node.value;
        break;
      case Branch::lt:
        yes = v < node.value;
        break;
      case Branch::gte:
        yes = v >= node.value;
        break;
      case Branch::gt:
        yes = v > node.value;
        break;
      case Branch::eq:
        yes = v == node.value;
        break;
      case Branch::neq:
        yes = v != node.value;
        break;
      case Branch::member:
        for (const T member : members_[n(node.members)]) yes = yes || v == member;
        break;
    }
    at = yes || (node.missing_goes_yes && std::isnan(v)) ? node.yes : node.no;
  }
  return at;
}

template <class T>
void Trees<T>::add_votes(std::int32_t leaf, T* score, std::uint8_t* voted) const {
  for (std::int32_t v = vote_begin_[n(leaf)]; v < vote_begin_[n(leaf) + 1]; ++v) {
    const auto [target, weight] = votes_[n(v)];
    T& s = score[target];
    if (aggregate_ == Aggregate::min)
      s = voted[target] == 0 || weight < s ? weight : s;
    else if (aggregate_ == Aggregate::max)
      s = voted[target] == 0 || weight > s ? weight : s;
    else
      s += weight;
    voted[target] = 1;
  }
}

template <class T>
void Trees<T>::votes(const T* x, std::int64_t rows, T* score, std::uint8_t* voted) const {
  std::fill_n(score, rows * targets_, T(0));
  std::fill_n(voted, rows * targets_, std::uint8_t{0});
  constexpr std::int64_t lanes = 8;  // rows that walk side by side, so that their loads overlap
  const Split* splits = splits_.data();
  for (std::int64_t begin = 0; begin < rows; begin += 4096) {
    const std::int64_t end = std::min(rows, begin + 4096);
    bool careful = careful_;
    for (std::int64_t i = begin * columns_; i < end * columns_; ++i) careful = careful || std::isnan(x[i]);
    for (const std::int32_t root : roots_) {
      std::int64_t r = begin;
      if (!careful) {
        for (; r + lanes <= end; r += lanes) {
          std::int32_t at[lanes];
          std::fill_n(at, lanes, root);
          const T* row = x + r * columns_;
          std::int32_t moved = 1;
          while (moved != 0) {
            moved = 0;
            for (std::int64_t l = 0; l < lanes; ++l) {
              const Split& split = splits[at[l]];
              const std::int32_t next = split.next[!(row[l * columns_ + split.feature] <= split.threshold)];
              moved |= next ^ at[l];
              at[l] = next;
            }
          }
          for (std::int64_t l = 0; l < lanes; ++l)
            add_votes(at[l], score + (r + l) * targets_, voted + (r + l) * targets_);
        }
      }
      for (; r < end; ++r)
        add_votes(walk_carefully(root, x + r * columns_), score + r * targets_, voted + r * targets_);
    }
  }
}

float logistic_of(float x) {
  const float v = 1 / (1 + std::exp(-std::abs(x)));
  return x < 0 ? 1 - v : v;
}

float probit_of(float p) {
  // Winitzki's approximation of the inverse error function, in ONNX Runtime's order: differences cancel.
  const float x = 2 * p - 1, log = std::log((1 - x) * (1 + x));
  const float v = 2 / (3.14159F * 0.147F) + 0.5F * log, v2 = 1 / 0.147F * log;
  const float root = std::sqrt(-v + std::sqrt(v * v - v2));
  return 1.41421356F * ((x < 0 ? -1.0F : 1.0F) * root);
}

template <class T>
void post_transform(PostTransform transform, T* scores, std::int64_t count) {
  switch (transform) {
    case PostTransform::none:
      return;
    case PostTransform::logistic:
      for (std::int64_t i = 0; i < count; ++i)
        scores[i] = static_cast<T>(logistic_of(static_cast<float>(scores[i])));
      return;
    case PostTransform::probit:
      for (std::int64_t i = 0; i < count; ++i)
        scores[i] = static_cast<T>(probit_of(static_cast<float>(scores[i])));
      return;
    case PostTransform::softmax:
    case PostTransform::softmax_zero: {
      T most = scores[0], sum = 0;
      for (std::int64_t i = 1; i < count; ++i) most = std::max(most, scores[i]);
      for (std::int64_t i = 0; i < count; ++i) {
        // The second form leaves out scores of 0.
        if (transform == PostTransform::softmax_zero && std::abs(scores[i]) <= T(1e-7)) {
          scores[i] *= std::exp(-most);
        } else {
          scores[i] = std::exp(scores[i] - most);
          sum += scores[i];
        }
      }
      for (std::int64_t i = 0; i < count; ++i) scores[i] /= sum;
    }
  }
}

template class Trees<float>;
template class Trees<double>;
template void post_transform<float>(PostTransform, float*, std::int64_t);
template void post_transform<double>(PostTransform, double*, std::int64_t);

}  // namespace emshap::io::foreign
