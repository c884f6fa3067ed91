// The tree operators of ai.onnx.ml: how files say trees, and how votes become results.
#include <fmt/format.h>

#include <cmath>
#include <set>

#include "emshap/core/error.h"
#include "io/foreign_node.h"
#include "io/foreign_trees.h"

namespace emshap::io::foreign {

void tree_ensemble_regressor(Node& node);
void tree_ensemble_classifier(Node& node);
void tree_ensemble(Node& node);

namespace {

constexpr std::int64_t most_targets = 1 << 16;

/// Reals as a list of floats or, from ai.onnx.ml 3 on, as a tensor of doubles.
template <class T>
std::vector<T> real_list(const Node& node, const std::string& name) {
  if (const auto tensor = node.tensor((name + "_as_tensor").c_str())) {
    if (tensor->element() == Element::f64) return {tensor->as<double>().begin(), tensor->as<double>().end()};
    if (tensor->element() == Element::f32) return {tensor->as<float>().begin(), tensor->as<float>().end()};
    node.fail(fmt::format("its attribute '{}_as_tensor' holds no real numbers", name));
  }
  const std::vector<float> values = node.reals(name.c_str());
  return {values.begin(), values.end()};
}

std::int32_t narrow(const Node& node, std::int64_t value, const char* name) {
  if (value < -1 || value > std::numeric_limits<std::int32_t>::max() / 2)
    node.fail(fmt::format("its attribute '{}' has an entry of {}", name, value));
  return static_cast<std::int32_t>(value);
}

template <class T>
struct Ensemble {
  std::vector<TreeNode<T>> nodes;
  std::vector<std::int32_t> roots;
};

void set_branch(const Node& node, const std::string& mode, Branch* branch, bool* leaf) {
  constexpr const char* names[] = {"BRANCH_LEQ", "BRANCH_LT",  "BRANCH_GTE", "BRANCH_GT",
                                   "BRANCH_EQ",  "BRANCH_NEQ", "LEAF"};
  for (int i = 0; i < 7; ++i)
    if (mode == names[i]) {
      *leaf = i == 6;
      *branch = *leaf ? Branch::leq : static_cast<Branch>(i);
      return;
    }
  node.fail(fmt::format("has a tree node of mode '{}'", mode));
}

/// Votes are "target_..." or "class_...".
template <class T>
Ensemble<T> legacy_trees(const Node& node, const std::string& votes) {
  const auto list = [&](const std::string& name) { return node.integer_list(name.c_str()).value_or(Dims{}); };
  const Dims tree = list("nodes_treeids"), number = list("nodes_nodeids"), feature = list("nodes_featureids"),
             yes = list("nodes_truenodeids"), no = list("nodes_falsenodeids"),
             missing = list("nodes_missing_value_tracks_true");
  const std::vector<std::string> modes = node.texts("nodes_modes");
  const std::vector<T> values = real_list<T>(node, "nodes_values");
  const std::size_t total = tree.size();
  if (number.size() != total || feature.size() != total || yes.size() != total || no.size() != total ||
      modes.size() != total || values.size() != total || (!missing.empty() && missing.size() != total))
    node.fail("its lists of tree nodes have different lengths");
  Ensemble<T> result;
  result.nodes.resize(total);
  std::map<std::pair<std::int64_t, std::int64_t>, std::int32_t> places;
  std::set<std::int64_t> seen;
  for (std::size_t i = 0; i < total; ++i) {
    if (!places.emplace(std::pair(tree[i], number[i]), static_cast<std::int32_t>(i)).second)
      node.fail(fmt::format("its tree {} has two nodes {}", tree[i], number[i]));
    if (seen.insert(tree[i]).second) result.roots.push_back(static_cast<std::int32_t>(i));
  }
  const auto find = [&](std::int64_t in, std::int64_t wanted) {
    const auto found = places.find({in, wanted});
    if (found == places.end()) node.fail(fmt::format("its tree {} has no node {}", in, wanted));
    return found->second;
  };
  for (std::size_t i = 0; i < total; ++i) {
    TreeNode<T>& to = result.nodes[i];
    set_branch(node, modes[i], &to.branch, &to.leaf);
    to.value = values[i];
    to.missing_goes_yes = !missing.empty() && missing[i] != 0;
    if (to.leaf) continue;
    to.feature = narrow(node, feature[i], "nodes_featureids");
    to.yes = find(tree[i], yes[i]);
    to.no = find(tree[i], no[i]);
  }
  const Dims vote_tree = list(votes + "_treeids"), vote_node = list(votes + "_nodeids"),
             target = list(votes + "_ids");
  const std::vector<T> weights = real_list<T>(node, votes + "_weights");
  if (vote_tree.size() != weights.size() || vote_node.size() != weights.size() ||
      target.size() != weights.size())
    node.fail("its lists of votes have different lengths");
  for (std::size_t i = 0; i < weights.size(); ++i) {
    TreeNode<T>& to = result.nodes[n(find(vote_tree[i], vote_node[i]))];
    // Exporters may say values of inner nodes too, which count for nothing.
    if (to.leaf) to.votes.push_back({narrow(node, target[i], "target ids"), weights[i]});
  }
  return result;
}

/// Scratch for votes, then `finish(score, voted, output)` for every row.
template <class T, class Y, class Finish>
void vote_step(Node& node, std::shared_ptr<const Trees<T>> trees, int y, std::int64_t width,
               const Finish& finish) {
  const Value x = node.in(0);
  const std::int64_t columns = node.columns(0), targets = trees->targets();
  const int to = node.storage(y);
  node.emit({node.id(0)}, {y}, [=](const Frame& frame) {
    Workspace& workspace = frame.ctx.workspace();
    const Workspace::Scope scope(workspace);
    T* score = workspace.take<T>(frame.rows * targets);
    auto* voted = workspace.take<std::uint8_t>(frame.rows * targets);
    const T* rows = nullptr;
    if (x.element == element_of<T>()) {
      rows = frame.get<T>(x.storage);
    } else {  // integers
      T* real = workspace.take<T>(frame.rows * columns);
      for (std::int64_t k = 0; k < frame.rows * columns; ++k)
        real[k] = static_cast<T>(frame.get<std::int64_t>(x.storage)[k]);
      rows = real;
    }
    trees->votes(rows, frame.rows, score, voted);
    Y* target = frame.get<Y>(to);
    for (std::int64_t r = 0; r < frame.rows; ++r)
      finish(score + r * targets, voted + r * targets, target + r * width);
  });
  node.cannot_write({y});
}

/// Aggregation's end and post transform of a regression; the scores are used up.
template <class T, class Y>
auto regression(std::int64_t trees, std::int64_t targets, Aggregate aggregate, PostTransform transform,
                const std::vector<T>& base) {
  return [=](T* score, const std::uint8_t* voted, Y* y) {
    const bool extreme = aggregate == Aggregate::min || aggregate == Aggregate::max;
    for (std::int64_t k = 0; k < targets; ++k) {
      if (extreme && voted[k] == 0) score[k] = 0;
      if (aggregate == Aggregate::average) score[k] /= static_cast<T>(trees);
      if (static_cast<std::int64_t>(base.size()) == targets) score[k] += base[n(k)];
    }
    // One score alone is transformed by PROBIT only.
    if (targets > 1 || transform == PostTransform::probit) post_transform(transform, score, targets);
    for (std::int64_t k = 0; k < targets; ++k) y[k] = static_cast<Y>(score[k]);
  };
}

template <class T>
void lower_regressor(Node& node) {
  Ensemble<T> said = legacy_trees<T>(node, "target");
  const std::int64_t targets = node.integer("n_targets", 1);
  if (targets < 1 || targets > most_targets) node.fail(fmt::format("has {} targets", targets));
  const Aggregate aggregate = aggregate_of(node.text("aggregate_function", "SUM"));
  const PostTransform transform = post_transform_of(node.text("post_transform", "NONE"));
  const std::vector<T> base = real_list<T>(node, "base_values");
  if (!base.empty() && static_cast<std::int64_t>(base.size()) != targets)
    node.fail(fmt::format("has {} base values, expected {}", base.size(), targets));
  auto trees = std::make_shared<const Trees<T>>(std::move(said.nodes), std::move(said.roots), aggregate,
                                                node.columns(0), targets);
  const int y = node.out(0, Element::f32, {rows_extent, targets});
  vote_step<T, float>(node, trees, y, targets,
                      regression<T, float>(trees->trees(), targets, aggregate, transform, base));
}

template <class T>
void lower_classifier(Node& node) {
  Ensemble<T> said = legacy_trees<T>(node, "class");
  std::vector<std::string> labels = node.texts("classlabels_strings");
  if (labels.empty())
    for (const std::int64_t label : node.integer_list("classlabels_int64s").value_or(Dims{}))
      labels.push_back(std::to_string(label));
  const auto classes = static_cast<std::int64_t>(labels.size());
  if (classes < 1 || classes > most_targets) node.fail("has no class labels");
  const PostTransform transform = post_transform_of(node.text("post_transform", "NONE"));
  const std::vector<T> base = real_list<T>(node, "base_values");
  if (base.size() > labels.size())
    node.fail(fmt::format("has {} base values for {} classes", base.size(), classes));
  std::set<std::int32_t> voted_for;
  bool positive = true;
  for (const auto& tree_node : said.nodes)
    for (const auto& vote : tree_node.votes) {
      voted_for.insert(vote.target);
      positive = positive && vote.weight >= 0;
    }
  const bool single = classes == 2 && voted_for.size() == 1;  // one score for two classes
  if (single && transform == PostTransform::probit)
    node.fail("has one score for two classes and PROBIT, which is not defined");
  auto trees = std::make_shared<const Trees<T>>(std::move(said.nodes), std::move(said.roots), Aggregate::sum,
                                                node.columns(0), classes);
  const int y = node.out(1, Element::f32, {rows_extent, classes});
  node.plan().classes = labels;
  vote_step<T, float>(node, trees, y, classes, [=](T* score, const std::uint8_t* voted, float* out) {
    if (classes == 2) {
      bool second = voted[1] != 0;
      if (base.size() == 2 && second) {
        score[1] = base[1] + score[0];
        score[0] = -score[1];
      } else if (base.size() == 2) {
        score[0] += base[0];
        score[1] += base[1];
        second = true;
      } else if (base.size() == 1) {
        score[0] += base[0];
      }
      if (!second) {
        // Without a vote for the second class the first score is the second class's.
        const float s = voted[0] != 0 ? static_cast<float>(score[0]) : 0;
        if (transform == PostTransform::logistic) {
          out[0] = logistic_of(-s);
          out[1] = logistic_of(s);
        } else {
          out[0] = single && positive ? 1 - s : -s;
          out[1] = s;
        }
        return;
      }
      for (int k = 0; k < 2; ++k)
        if (voted[k] == 0) score[k] = 0;
    } else {
      for (std::size_t k = 0; k < base.size(); ++k) score[k] += base[k];
    }
    if (classes > 1 || transform == PostTransform::probit) post_transform(transform, score, classes);
    for (std::int64_t k = 0; k < classes; ++k) out[k] = static_cast<float>(score[k]);
  });
}

template <class T>
void lower_ensemble(Node& node) {
  const auto list = [&](const char* name) { return node.integer_list(name).value_or(Dims{}); };
  const auto tensor = [&](const char* name) {
    const auto value = node.tensor(name);
    if (!value || value->element() != element_of<T>())
      node.fail(fmt::format("its attribute '{}' is missing or of another type than its input", name));
    return value->template as<T>();
  };
  const Dims feature = list("nodes_featureids"), yes = list("nodes_truenodeids"),
             no = list("nodes_falsenodeids"), yes_leaf = list("nodes_trueleafs"),
             no_leaf = list("nodes_falseleafs"), missing = list("nodes_missing_value_tracks_true"),
             roots = list("tree_roots"), target = list("leaf_targetids");
  const std::vector<T> values = tensor("nodes_splits"), weights = tensor("leaf_weights");
  const auto modes = node.tensor("nodes_modes");
  const std::size_t inner = feature.size();
  if (!modes || modes->element() != Element::i64) node.fail("its attribute 'nodes_modes' is missing");
  if (yes.size() != inner || no.size() != inner || yes_leaf.size() != inner || no_leaf.size() != inner ||
      values.size() != inner || static_cast<std::size_t>(modes->elements()) != inner ||
      (!missing.empty() && missing.size() != inner) || target.size() != weights.size())
    node.fail("its lists of tree nodes have different lengths");
  std::vector<T> members;
  if (node.attribute("membership_values") != nullptr) members = tensor("membership_values");
  // Inner nodes first, then leaves.
  std::vector<TreeNode<T>> nodes(inner + weights.size());
  const auto child = [&](std::int64_t number, bool leaf) {
    const auto most = static_cast<std::int64_t>(leaf ? weights.size() : inner);
    if (number < 0 || number >= most)
      node.fail(fmt::format("a tree has a branch to {} {} of {}", leaf ? "leaf" : "node", number, most));
    return static_cast<std::int32_t>(leaf ? number + static_cast<std::int64_t>(inner) : number);
  };
  std::size_t next_member = 0;
  for (std::size_t i = 0; i < inner; ++i) {
    TreeNode<T>& to = nodes[i];
    const std::int64_t mode = modes->as<std::int64_t>()[i];
    if (mode < 0 || mode > 6) node.fail(fmt::format("has a tree node of mode {}", mode));
    to.branch = static_cast<Branch>(mode);
    to.feature = narrow(node, feature[i], "nodes_featureids");
    to.value = values[i];
    to.missing_goes_yes = !missing.empty() && missing[i] != 0;
    to.yes = child(yes[i], yes_leaf[i] != 0);
    to.no = child(no[i], no_leaf[i] != 0);
    if (to.branch == Branch::member) {
      if (next_member >= members.size()) node.fail("has no membership values for a tree node");
      while (next_member < members.size() && !std::isnan(members[next_member]))
        to.members.push_back(members[next_member++]);
      ++next_member;
    }
  }
  for (std::size_t i = 0; i < weights.size(); ++i) {
    nodes[inner + i].leaf = true;
    nodes[inner + i].votes = {{narrow(node, target[i], "leaf_targetids"), weights[i]}};
  }
  std::vector<std::int32_t> starts;
  for (const std::int64_t root : roots) starts.push_back(child(root, false));
  const std::int64_t targets = node.integer("n_targets", 1);
  if (targets < 1 || targets > most_targets) node.fail(fmt::format("has {} targets", targets));
  const std::int64_t aggregate_number = node.integer("aggregate_function", 1),
                     transform_number = node.integer("post_transform", 0);
  if (aggregate_number < 0 || aggregate_number > 3 || transform_number < 0 || transform_number > 4)
    node.fail("its aggregate function or post transform is not a known one");
  const auto aggregate = static_cast<Aggregate>(aggregate_number);
  auto trees = std::make_shared<const Trees<T>>(std::move(nodes), std::move(starts), aggregate,
                                                node.columns(0), targets);
  const int y = node.out(0, element_of<T>(), {rows_extent, targets});
  vote_step<T, T>(
      node, trees, y, targets,
      regression<T, T>(trees->trees(), targets, aggregate, static_cast<PostTransform>(transform_number), {}));
}

}  // namespace

void tree_ensemble_regressor(Node& node) {
  node.expect(0, {Element::f32, Element::f64, Element::i64});
  node.in(0).element == Element::f64 ? lower_regressor<double>(node) : lower_regressor<float>(node);
}

void tree_ensemble_classifier(Node& node) {
  if (node.wants(0)) node.fail("its labels are computed with, which is not supported");
  node.expect(0, {Element::f32, Element::f64, Element::i64});
  node.in(0).element == Element::f64 ? lower_classifier<double>(node) : lower_classifier<float>(node);
}

void tree_ensemble(Node& node) {
  node.expect(0, {Element::f32, Element::f64});
  node.in(0).element == Element::f64 ? lower_ensemble<double>(node) : lower_ensemble<float>(node);
}

}  // namespace emshap::io::foreign
