// Backend of loss.h; included once per backend by ops/backends.h.
namespace emshap::EMSHAP_BACKEND {
template <class T>
void loss_forward(Context& ctx, Loss kind, double delta, Mat<const T> prediction, Mat<const T> target,
                  Mat<T> loss, Mat<T> dprediction);
}  // namespace emshap::EMSHAP_BACKEND
