// Backend of elementwise.h; included once per backend by ops/backends.h.
namespace emshap::EMSHAP_BACKEND {
template <class T>
void fill(Context& ctx, double value, Mat<T> y);
template <class T>
void fill_shared(Context& ctx, double value, Mat<T> y);
template <class T, class U>
void copy(Context& ctx, Mat<const T> x, Mat<U> y);
template <class T>
void add(Context& ctx, Mat<const T> a, Mat<const T> b, Mat<T> y);
template <class T>
void multiply(Context& ctx, Mat<const T> a, Mat<const T> b, Mat<T> y);
template <class T>
void affine(Context& ctx, Mat<const T> x, double scale, double shift, Mat<T> y);
template <class T>
void axpy(Context& ctx, double alpha, Mat<const T> x, Mat<T> y);
template <class T>
void scale_shift_columns(Context& ctx, Mat<const T> x, Mat<const T> scale, Mat<const T> shift, Mat<T> y);
}  // namespace emshap::EMSHAP_BACKEND
