// Backend of gaussian_base.h; included once per backend by ops/backends.h.
namespace emshap::EMSHAP_BACKEND {
template <class T>
void base_prefix_moments(Context& ctx, Mat<const double> mean, Mat<const double> cov, Mat<const T> x,
                         Mat<const std::int32_t> order, Mat<const std::int32_t> count, Mat<T> mu,
                         Mat<T> log_sd);
template <class T>
void base_conditionals(Context& ctx, Mat<const double> mean, Mat<const double> cov, Mat<const T> x,
                       Mat<const T> mask, Mat<T> mu, Mat<T> log_sd);
template <class T>
void base_gains(Context& ctx, Mat<const double> cov, Mat<const std::int32_t> sequence,
                Mat<const std::int32_t> count, Mat<T> gains, Mat<T> log_sd);
template <class T>
void base_update(Context& ctx, Mat<const T> gains, Mat<const std::int32_t> sequence,
                 Mat<const std::int32_t> position, Mat<const T> x, Mat<T> mean);
}  // namespace emshap::EMSHAP_BACKEND
