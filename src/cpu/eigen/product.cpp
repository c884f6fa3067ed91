// Products of level eigen: other processors, and a second opinion on x86-64.
#include "cpu/product.h"

#include <Eigen/Core>

namespace emshap::cpu::EMSHAP_ISA {
namespace {

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Stride = Eigen::OuterStride<>;

template <class T>
Eigen::Map<const Matrix<T>, 0, Stride> map(const Mat<const T>& m) {
  return {m.data, m.rows, m.cols, Stride(m.stride)};
}

template <class T, class Product>
void finish(Workspace& workspace, const Product& ab, const ProductEpilogue<T>& e, const Mat<T>& c) {
  if (c.rows == 0 || c.cols == 0) return;
  using Out = Eigen::Map<Matrix<T>, 0, Stride>;
  Out out(c.data, c.rows, c.cols, Stride(c.stride));
  if (e.accumulate) {
    // Eigen would add a deep product to C in several steps; here C + AB is one addition, as it is where a
    // team adds up the products of its members.
    const Workspace::Scope scope(workspace);
    Out product(workspace.take<T>(c.rows * c.cols), c.rows, c.cols, Stride(c.cols));
    product.noalias() = ab;
    out += product;
    return;
  }
  out.noalias() = ab;
  if (e.bias != nullptr)
    out.rowwise() += Eigen::Map<const Eigen::Matrix<T, 1, Eigen::Dynamic>>(e.bias, c.cols);
  if (e.relu) out = (out.array() < T(0)).select(T(0), out);
  if (e.plus != nullptr) out += map<T>(Mat<const T>{e.plus, c.rows, c.cols, e.plus_stride});
}

}  // namespace

template <class T>
void product(Workspace& workspace, Mat<const T> a, Mat<const T> b, const ProductEpilogue<T>& e, Mat<T> c) {
  finish<T>(workspace, map<T>(a) * map<T>(b), e, c);
}

template <class T>
void product_at(Workspace& workspace, Mat<const T> a, Mat<const T> b, const ProductEpilogue<T>& e, Mat<T> c) {
  finish<T>(workspace, map<T>(a).transpose() * map<T>(b), e, c);
}

template <class T>
void product_bt(Workspace& workspace, Mat<const T> a, Mat<const T> b, const ProductEpilogue<T>& e, Mat<T> c) {
  finish<T>(workspace, map<T>(a) * map<T>(b).transpose(), e, c);
}

#define EMSHAP_INSTANTIATE(T)                                                                             \
  template void product<T>(Workspace&, Mat<const T>, Mat<const T>, const ProductEpilogue<T>&, Mat<T>);    \
  template void product_at<T>(Workspace&, Mat<const T>, Mat<const T>, const ProductEpilogue<T>&, Mat<T>); \
  template void product_bt<T>(Workspace&, Mat<const T>, Mat<const T>, const ProductEpilogue<T>&, Mat<T>);
EMSHAP_INSTANTIATE(float)
EMSHAP_INSTANTIATE(double)

}  // namespace emshap::cpu::EMSHAP_ISA
