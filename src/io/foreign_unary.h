#pragma once
// Functions of one number, entry by entry, for operator tables of foreign graphs.
#include "io/foreign_broadcast.h"
#include "io/foreign_node.h"

namespace emshap::io::foreign {

/// Output 0 = f(input 0), of entries T to entries Y.
template <class T, class Y = T, class F>
void unary(Node& node, const F& f) {
  const int x = node.id(0);
  const int y = node.out(0, element_of<Y>(), node.in(0).dims);
  const int from = node.storage(x), to = node.storage(y);
  const std::int64_t size = node.plan().storages[n(to)].size;
  node.emit({x}, {y}, [=](const Frame& frame) {
    map_entries(frame.rows * size, frame.get<T>(from), frame.get<Y>(to), f);
  });
}

/// The same for float32 and float64 inputs.
template <class F>
void real_unary(Node& node, const F& f) {
  node.expect(0, {Element::f32, Element::f64});
  if (node.in(0).element == Element::f32)
    unary<float>(node, f);
  else
    unary<double>(node, f);
}

/// Functions of one real number that ONNX Runtime computes in the input's type, too.
template <class F>
void lower_real(Node& node, const F& f) {
  real_unary(node, f);
  node.write_same();
}

}  // namespace emshap::io::foreign
