// Backend of activation.h; included once per backend by ops/backends.h.
namespace emshap::EMSHAP_BACKEND {
template <class T>
void activation_forward(Context& ctx, Activation activation, Mat<const T> x, Mat<T> y);
template <class T>
void activation_backward(Context& ctx, Activation activation, Mat<const T> x, Mat<const T> y, Mat<const T> dy,
                         Mat<T> dx);
}  // namespace emshap::EMSHAP_BACKEND
