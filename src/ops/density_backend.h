// Backend of density.h; included once per backend by ops/backends.h.
namespace emshap::EMSHAP_BACKEND {
template <class T>
void mixture_loss(Context& ctx, Mat<const T> head, Mat<const T> mean, Mat<const T> log_sd, Mat<const T> x,
                  Mat<const T> weight, Mat<T> value, Mat<T> dhead);
template <class T>
void mixture_from_head(Context& ctx, Mat<const T> head, Mat<const T> mean, Mat<const T> log_sd,
                       Mat<const T> wanted, Mat<T> mixture);
template <class T>
void mixture_log_density(Context& ctx, Mat<const T> mixture, Mat<const T> x, Mat<T> value);
template <class T>
void mixture_log_interval(Context& ctx, Mat<const T> mixture, Mat<const T> left, Mat<const T> right,
                          Mat<T> value);
template <class T>
void mixture_moments(Context& ctx, Mat<const T> mixture, Mat<T> mean, Mat<T> variance);
template <class T>
void mixture_draw(Context& ctx, Mat<const T> mixture, Mat<const T> uniforms, Mat<const T> wanted, Mat<T> x,
                  Mat<T> log_q);
template <class T>
void categorical_loss(Context& ctx, Mat<const T> logits, Mat<const T> frequencies,
                      Mat<const std::int32_t> code, Mat<const T> weight, Mat<T> value, Mat<T> dlogits);
template <class T>
void categorical_log_probabilities(Context& ctx, Mat<const T> logits, Mat<const T> frequencies,
                                   Mat<const T> wanted, Mat<T> log_p);
template <class T>
void categorical_draw(Context& ctx, Mat<const T> log_p, Mat<const T> uniforms, Mat<const T> wanted,
                      Mat<std::int32_t> code, Mat<T> log_q);
template <class T>
void categorical_values(Context& ctx, Mat<const T> values, Mat<const std::int32_t> code, Mat<T> x);
}  // namespace emshap::EMSHAP_BACKEND
