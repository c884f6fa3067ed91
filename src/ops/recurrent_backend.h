// Backend of recurrent.h; included once per backend by ops/backends.h.
namespace emshap::EMSHAP_BACKEND {
template <class T>
void gru_forward(Context& ctx, Mat<const T> gi, Mat<const T> gh, Mat<const T> h, Mat<T> h_next, Mat<T> gates);
template <class T>
void gru_backward(Context& ctx, Mat<const T> gates, Mat<const T> h, Mat<const T> dh_next, Mat<T> dgi,
                  Mat<T> dgh, Mat<T> dh);
template <class T>
void gru_token_forward(Context& ctx, const T* value, const std::int32_t* feature, const std::int32_t* slot,
                       Mat<const T> wa, Mat<const T> wb, Mat<const T> gh, Mat<const T> h, Mat<T> h_next,
                       Mat<T> gates);
template <class T>
void gru_token_backward(Context& ctx, const T* value, const std::int32_t* feature, const std::int32_t* slot,
                        Mat<const T> h, Mat<T> gates, Mat<T> dh, Mat<T> dwa, Mat<T> dwb);
}  // namespace emshap::EMSHAP_BACKEND
