#pragma once
// Ensembles of decision trees as ai.onnx.ml says them, in arrays that are quick to walk.
#include <string>
#include <vector>

#include "io/foreign_value.h"

namespace emshap::io::foreign {

enum class Branch : std::uint8_t { leq, lt, gte, gt, eq, neq, member };
enum class Aggregate : std::uint8_t { average, sum, min, max };
enum class PostTransform : std::uint8_t { none, softmax, logistic, softmax_zero, probit };

Aggregate aggregate_of(const std::string& name);           ///< throws IoError
PostTransform post_transform_of(const std::string& name);  ///< throws IoError

/// A node as files say it. Children are numbers in the same list.
template <class T>
struct TreeNode {
  Branch branch = Branch::leq;
  bool leaf = false;
  bool missing_goes_yes = false;  ///< where NaN goes
  std::int32_t feature = 0;
  T value = 0;
  std::int32_t yes = -1, no = -1;
  std::vector<T> members;  ///< of Branch::member
  struct Vote {
    std::int32_t target;
    T weight;
  };
  std::vector<Vote> votes;  ///< of a leaf
};

template <class T>
class Trees {
 public:
  /// Checks that every node has its children, features are among `columns` and targets among `targets`, and
  /// that no tree comes back to one of its nodes. Throws IoError with a fragment.
  Trees(std::vector<TreeNode<T>> nodes, std::vector<std::int32_t> roots, Aggregate aggregate,
        std::int64_t columns, std::int64_t targets);

  std::int64_t trees() const { return static_cast<std::int64_t>(roots_.size()); }
  std::int64_t targets() const { return targets_; }
  /// Votes of all trees, in the trees' order, for rows x (rows, columns): score and voted (rows, targets) are
  /// overwritten. `voted` tells whether any leaf voted for a target.
  void votes(const T* x, std::int64_t rows, T* score, std::uint8_t* voted) const;

 private:
  /// x <= threshold: next[0], else next[1]. Leaves come back to themselves.
  struct Split {
    T threshold;
    std::int32_t feature;
    std::int32_t next[2];
  };
  /// The node as it was said, for what the order of numbers does not settle: NaN, equality, membership.
  struct Careful {
    T value;
    std::int32_t feature, yes, no, members;
    Branch branch;
    bool leaf, missing_goes_yes;
  };
  std::int32_t walk_carefully(std::int32_t at, const T* x) const;
  void add_votes(std::int32_t leaf, T* score, std::uint8_t* voted) const;

  std::vector<Split> splits_;
  std::vector<Careful> nodes_;  // in the same order
  std::vector<std::vector<T>> members_;
  std::vector<std::int32_t> vote_begin_;  // of each node
  std::vector<typename TreeNode<T>::Vote> votes_;
  std::vector<std::int32_t> roots_;
  Aggregate aggregate_;
  std::int64_t columns_, targets_;
  bool careful_ = false;  // a branch that is no comparison of order
};

/// The transform of ONNX Runtime on one row of scores.
template <class T>
void post_transform(PostTransform transform, T* scores, std::int64_t count);
float logistic_of(float x);
float probit_of(float p);

}  // namespace emshap::io::foreign
