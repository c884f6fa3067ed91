#include "emshap/core/tensor.h"

#include <doctest/doctest.h>

#include <cstdint>

#include "emshap/core/error.h"

using namespace emshap;

TEST_CASE("shapes count elements, rows and columns, and refuse what cannot be counted") {
  CHECK(Shape{}.elements() == 1);
  CHECK(Shape{5}.rows() == 1);
  CHECK(Shape{2, 3, 4}.elements() == 24);
  CHECK(Shape{2, 3, 4}.rows() == 6);
  CHECK(Shape{2, 3, 4}.cols() == 4);
  CHECK(Shape{7, 0}.elements() == 0);
  const std::int64_t big = std::int64_t{1} << 30;
  CHECK(Shape{big, big / 2}.elements() == big * (big / 2));
  CHECK_THROWS_WITH_AS((Shape{big, big, 2}),
                       "shape (1073741824, 1073741824, 2) has more elements than can be counted", ShapeError);
  CHECK_THROWS_AS((Shape{big, big, big, 0}), ShapeError);  // rows() would overflow
  CHECK_THROWS_AS((Shape{-1}), ShapeError);
  CHECK_THROWS_AS((Shape{1, 1, 1, 1, 1}), ShapeError);
}

TEST_CASE("a tensor that gets no memory is empty, and can be used again") {
  Tensor t = Tensor::from<float>({1, 2, 3, 4}, {2, 2});
  CHECK_THROWS_AS(t.ensure({2, 2}, DType::f32, Device{DeviceKind::cuda, 99}), Error);
  CHECK(t.empty());
  CHECK(t.view().data() == nullptr);
  t.ensure({3}, DType::f64);
  CHECK(t.elements() == 3);
  CHECK(t.ptr<double>() != nullptr);
}

TEST_CASE("tensors keep their memory while it fits, move, and copy only by clone") {
  Tensor t({4, 8});
  const void* memory = t.view().data();
  CHECK(reinterpret_cast<std::uintptr_t>(memory) % 64 == 0);
  t.ensure({2, 3}, DType::f64);
  CHECK(t.view().data() == memory);
  t.ptr<double>()[5] = 7;
  const Tensor copy = t.clone();
  CHECK(copy.view().data() != memory);
  CHECK(copy.ptr<double>()[5] == 7);
  const Tensor moved = std::move(t);
  CHECK(moved.view().data() == memory);
  CHECK(t.empty());  // NOLINT: what a move leaves is documented to be empty
  CHECK_THROWS_AS(Tensor::from<float>({1, 2}, {3}), ShapeError);
  CHECK_THROWS_AS(copy.ptr<float>(), DTypeError);
}

TEST_CASE("views of rows and columns stay inside") {
  Tensor t = Tensor::from<std::int32_t>({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, {3, 4});
  const TensorView middle = t.view().columns(1, 2);
  CHECK(middle.row_stride() == 4);
  CHECK(!middle.contiguous());
  CHECK(middle.rows(2, 1).ptr<std::int32_t>()[0] == 9);
  CHECK(middle.rows(2, 1).reshaped({2}).shape() == Shape{2});  // one row has no gaps
  CHECK(t.view().rows(3, 0).elements() == 0);
  CHECK_THROWS_AS(t.view().rows(2, 2), ShapeError);
  CHECK_THROWS_AS(t.view().columns(-1, 1), ShapeError);
  CHECK_THROWS_AS(middle.reshaped({6}), ShapeError);
  CHECK_THROWS_AS(t.view().reshaped({5}), ShapeError);
  CHECK_THROWS_AS(ConstTensorView(nullptr, {2, 4}, DType::f32, {}, 3), ShapeError);
}
