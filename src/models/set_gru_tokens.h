#pragma once
// What the rows of a tile read in each step of the recurrence while the set-GRU trains: the features of their
// orders, one after the other.
#include "emshap/ops/recurrent.h"
#include "models/set_gru_pairs.h"

namespace emshap::set_gru {

template <class T>
class TileTokens {
 public:
  /// Tiles of at most R rows.
  TileTokens(Context& ctx, const SetGru::Impl& impl, std::int64_t F, std::int64_t R)
      : impl_(impl),
        value_(ctx, {F * R}, dtype_of<T>()),
        feature_(ctx, {F * R}, DType::i32),
        slot_(ctx, {F * R}, DType::i32) {}

  /// Those of step i of rows [begin, begin + rows) of the batch, whose orders are drawn.
  void read(const ProposalBatch& batch, const TilePairs<T>& pairs, std::int64_t begin, std::int64_t rows,
            std::int64_t i) const {
    const std::int64_t stride = batch.rows.x.row_stride();
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::int64_t at = i * rows + r;
      const bool there = i < pairs.present(r);
      const std::int32_t t = there ? pairs.feature(r, i) : -1;
      feature_.ptr<std::int32_t>()[at] = t;
      slot_.ptr<std::int32_t>()[at] = there ? impl_.slot(t, code_at(batch.rows, begin + r, t)) : -1;
      value_.ptr<T>()[at] = there ? batch.rows.x.ptr<T>()[(begin + r) * stride + t] : T(0);
    }
  }
  /// On a GPU, before a tile is read: memory for its lists.
  void take(Staging& staging) {
    for (Sent* list : {&value_, &feature_, &slot_}) list->take(staging);
  }
  ops::GruTokens of_step(std::int64_t i, std::int64_t rows) const {
    const auto part = [&](const Sent& all) { return all.there().columns(i * rows, rows).reshaped({rows}); };
    return {part(value_), part(feature_), part(slot_)};
  }

 private:
  const SetGru::Impl& impl_;
  Sent value_, feature_, slot_;  ///< (F R) by step
};

}  // namespace emshap::set_gru
