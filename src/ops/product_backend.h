// Backend of product.h; included once per backend by ops/backends.h.
namespace emshap::EMSHAP_BACKEND {
template <class T>
void add_product(Context& ctx, Mat<const T> a, Mat<const T> b, Mat<T> y);
template <class T>
void add_product_at(Context& ctx, Mat<const T> a, Mat<const T> b, Mat<T> y);
template <class T>
void add_column_sums(Context& ctx, Mat<const T> x, Mat<T> y);
template <class T>
void transpose(Context& ctx, Mat<const T> x, Mat<T> y);
}  // namespace emshap::EMSHAP_BACKEND
