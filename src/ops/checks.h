#pragma once
// Argument checks of the fronts. Texts follow one form: op, argument, got, expected, why.
#include <fmt/format.h>

#include "emshap/core/context.h"
#include "emshap/core/error.h"
#include "emshap/core/tensor_view.h"

namespace emshap::check {

struct Named {
  const char* name;
  const ConstTensorView& view;
};

/// All on the context's device and of one element type.
inline void same_kind(const char* op, const Context& ctx, std::initializer_list<Named> args) {
  const Named& first = *args.begin();
  for (const Named& a : args) {
    if (a.view.data() == nullptr && a.view.elements() == 0) continue;
    if (a.view.device() != ctx.device())
      throw DeviceError(fmt::format("{}: {} is on {}, expected {}", op, a.name, to_string(a.view.device()),
                                    to_string(ctx.device())));
    if (a.view.dtype() != first.view.dtype())
      throw DTypeError(fmt::format("{}: {} holds {}, expected {} as {}", op, a.name,
                                   to_string(a.view.dtype()), to_string(first.view.dtype()), first.name));
  }
}

/// `a` has exactly this shape; `why` completes "expected (13, 64) because x has 13 columns".
inline void shape(const char* op, Named a, const Shape& expected, const char* why) {
  if (!(a.view.shape() == expected))
    throw ShapeError(fmt::format("{}: {} has shape {}, expected {} because {}", op, a.name,
                                 a.view.shape().str(), expected.str(), why));
}

/// Same rows and columns, whatever the rank.
inline void same_extent(const char* op, Named a, Named b) {
  if (a.view.rows() != b.view.rows() || a.view.cols() != b.view.cols())
    throw ShapeError(fmt::format("{}: {} has shape {}, expected {} as {}", op, a.name, a.view.shape().str(),
                                 b.view.shape().str(), b.name));
}

/// A vector of `count` elements, rank 1 or one row.
inline void vector(const char* op, Named a, std::int64_t count, const char* why) {
  if (a.view.rows() != 1 || a.view.cols() != count)
    throw ShapeError(fmt::format("{}: {} has shape {}, expected ({}) because {}", op, a.name,
                                 a.view.shape().str(), count, why));
}

/// A vector with one element per column of `of`.
inline void per_column(const char* op, Named a, Named of) {
  if (a.view.rows() != 1 || a.view.cols() != of.view.cols())
    throw ShapeError(fmt::format("{}: {} has shape {}, expected ({}) because {} has {} columns", op, a.name,
                                 a.view.shape().str(), of.view.cols(), of.name, of.view.cols()));
}

/// Rows without gaps.
inline void contiguous(const char* op, Named a, const char* why) {
  if (!a.view.contiguous())
    throw ShapeError(fmt::format("{}: {} has rows {} elements apart, expected {} because {}", op, a.name,
                                 a.view.row_stride(), a.view.cols(), why));
}

}  // namespace emshap::check
