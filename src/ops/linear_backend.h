// Backend of linear.h; included once per backend by ops/backends.h.
namespace emshap::EMSHAP_BACKEND {
template <class T>
void linear_forward(Context& ctx, Mat<const T> x, Mat<const T> w, Mat<const T> bias, Activation activation,
                    Mat<T> y);
template <class T>
void linear_backward_input(Context& ctx, Mat<const T> dy, Mat<const T> w, Mat<T> dx, bool accumulate);
template <class T>
void linear_backward_params(Context& ctx, Mat<const T> x, Mat<const T> dy, Mat<T> dw, Mat<T> db);
}  // namespace emshap::EMSHAP_BACKEND
