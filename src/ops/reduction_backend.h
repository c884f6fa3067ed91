// Backend of reduction.h; included once per backend by ops/backends.h.
namespace emshap::EMSHAP_BACKEND {
template <class T>
void sum_over_rows(Context& ctx, Mat<const T> x, Mat<T> out);
template <class T>
void sum_over_columns(Context& ctx, Mat<const T> x, Mat<T> out);
template <class T>
void sum(Context& ctx, Mat<const T> x, Mat<T> out);
template <class T>
void sum_of_squares_shared(Context& ctx, Mat<const T> x, Mat<T> out);
}  // namespace emshap::EMSHAP_BACKEND
