#pragma once
// Checks of what proposals are called with, and their outputs' shapes.
#include <fmt/format.h>

#include "emshap/core/error.h"
#include "emshap/models/proposal.h"

namespace emshap::proposal_args {

inline void check_matrix(const char* who, const char* name, const ConstTensorView& view, std::int64_t rows,
                         std::int64_t cols, DType dtype) {
  if (view.rows() != rows || view.cols() != cols)
    throw ShapeError(
        fmt::format("{}: {} has shape {}, expected ({}, {})", who, name, view.shape().str(), rows, cols));
  if (view.dtype() != dtype)
    throw DTypeError(
        fmt::format("{}: {} holds {}, expected {}", who, name, to_string(view.dtype()), to_string(dtype)));
}

/// x and mask (B, F) of the proposal's type, codes where there are categorical features. Returns B.
inline std::int64_t check_rows(const char* who, const Proposal& proposal, const FeatureRows& rows,
                               const ConstTensorView& mask) {
  const std::int64_t B = rows.x.rows(), F = proposal.layout().features();
  check_matrix(who, "x", rows.x, B, F, proposal.dtype());
  check_matrix(who, "mask", mask, B, F, proposal.dtype());
  if (proposal.layout().total_categories() > 0) check_matrix(who, "code", rows.code, B, F, DType::i32);
  return B;
}

inline void check_draws(const char* who, const Proposal& proposal, std::int64_t rows, std::int64_t draws,
                        const ConstTensorView& noise, const ConstTensorView& target) {
  if (draws < 1) throw ConfigError(fmt::format("{}: {} draws, expected at least 1", who, draws));
  const bool fits = noise.rows() == rows * draws || noise.rows() == draws;
  check_matrix(who, "noise", noise, fits ? noise.rows() : rows * draws, proposal.layout().features(),
               proposal.dtype());
  if (target.data() != nullptr)
    check_matrix(who, "target", target, rows, proposal.layout().features(), proposal.dtype());
}

/// The order of generation, null for ascending; throws ConfigError unless it is a permutation of the
/// features.
inline const std::int64_t* check_order(const char* who, std::int64_t features,
                                       std::span<const std::int64_t> order) {
  if (order.empty()) return nullptr;
  bool fits = static_cast<std::int64_t>(order.size()) == features, ascending = true;
  for (std::size_t i = 0; fits && i < order.size(); ++i) {
    fits = order[i] >= 0 && order[i] < features;
    ascending = ascending && order[i] == static_cast<std::int64_t>(i);
    for (std::size_t j = 0; fits && j < i; ++j) fits = order[i] != order[j];
  }
  if (!fits)
    throw ConfigError(fmt::format("{}: the order of generation has {} entries, expected each of 0 to {} once",
                                  who, order.size(), features - 1));
  return ascending ? nullptr : order.data();
}

/// The unknown features that are drawn: those of `target`, all without it.
template <class T>
struct Wanted {
  explicit Wanted(const ConstTensorView& target)
      : data(target.data() != nullptr ? target.ptr<T>() : nullptr), stride(target.row_stride()) {}
  bool operator()(std::int64_t row, std::int64_t t) const {
    return data == nullptr || data[row * stride + t] > T(.5);
  }
  const T* data;
  std::int64_t stride;
};

/// For what goes through rows on the host.
inline void check_cpu(const char* who, const Proposal& proposal) {
  if (proposal.device().kind != DeviceKind::cpu)
    throw DeviceError(fmt::format("{}: the proposal is on {}, expected cpu: there is no kernel for it yet",
                                  who, to_string(proposal.device())));
}

inline void size_outputs(const Proposal& p, std::int64_t rows, Conditionals& out) {
  out.mixture.ensure({rows, p.layout().features(), 3 * p.components()}, p.dtype(), p.device());
  out.categorical.ensure({rows, p.layout().total_categories()}, p.dtype(), p.device());
  out.context.ensure({rows, p.context_width()}, p.dtype(), p.device());
}

inline void size_outputs(const Proposal& p, std::int64_t rows, std::int64_t draws, Draws& out) {
  const std::int64_t F = p.layout().features();
  out.x.ensure({rows * draws, F}, p.dtype(), p.device());
  const bool coded = p.layout().total_categories() > 0;
  out.code.ensure({coded ? rows * draws : 0, F}, DType::i32, p.device());
  out.log_q.ensure({rows * draws}, p.dtype(), p.device());
  out.context.ensure({rows, p.context_width()}, p.dtype(), p.device());
}

}  // namespace emshap::proposal_args
