// Backend of draw_step.h; included once per backend by ops/backends.h.
namespace emshap::EMSHAP_BACKEND {
template <class T>
void draw_from_state(Context& ctx, Mat<const T> h, const T* mean, double log_sd, Mat<const T> state,
                     Mat<const T> moments, const T* feature, Mat<const T> hidden, Mat<const T> out_weights,
                     const T* bias, const T* uniform, T* x, T* log_q, std::int64_t pairs);
/// `slot` may be null.
template <class T>
void advance_state(Context& ctx, Mat<const T> h, const T* value, const T* wa, Mat<const T> wb,
                   const std::int32_t* slot, Mat<const T> weight, const T* bias, Mat<T> h_next);
}  // namespace emshap::EMSHAP_BACKEND
