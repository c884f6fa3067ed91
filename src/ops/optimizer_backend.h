// Backend of optimizer.h; included once per backend by ops/backends.h.
namespace emshap::EMSHAP_BACKEND {
template <class T>
void adam_step(Context& ctx, const math::AdamFactors<double>& factors, Mat<const T> gradient,
               Mat<const T> gradient_scale, Mat<const T> decay_mask, Mat<T> w, Mat<T> m, Mat<T> v);
template <class T>
void clip_scale(Context& ctx, Mat<const T> gradient, double max_norm, Mat<T> norm, Mat<T> scale);
template <class T>
void ema_update(Context& ctx, double decay, Mat<const T> w, Mat<T> average);
}  // namespace emshap::EMSHAP_BACKEND
