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
template <class T>
void log_sum_exp(Context& ctx, Mat<const T> x, Mat<T> out);
template <class T>
void log_sum_exp_backward(Context& ctx, Mat<const T> x, Mat<const T> out, Mat<const T> dout, Mat<T> dx);
}  // namespace emshap::EMSHAP_BACKEND
