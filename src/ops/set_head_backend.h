// Backend of set_head.h; included once per backend by ops/backends.h.
namespace emshap::EMSHAP_BACKEND {
template <class T>
void set_head_forward(Context& ctx, const std::int32_t* index, const T* mean, const T* log_sd,
                      Mat<const T> moments, const T* feature, Mat<const T> hidden, Mat<const T> out_weights,
                      const T* bias, Mat<const T> state, Mat<T> u0, Mat<T> u, Mat<T> out);
template <class T>
void set_head_backward(Context& ctx, const std::int32_t* index, const T* mean, const T* log_sd,
                       Mat<const T> hidden_t, Mat<const T> out_t, Mat<const T> dout, Mat<T> u0, Mat<T> u,
                       Mat<T> dstate, Mat<T> dmoments, T* dfeature, Mat<T> dhidden, Mat<T> dout_weights,
                       T* dbias);
}  // namespace emshap::EMSHAP_BACKEND
