// Backend of normalization.h; included once per backend by ops/backends.h.
namespace emshap::EMSHAP_BACKEND {
template <class T>
void batch_norm_forward(Context& ctx, Mat<const T> x, Mat<const T> gamma, Mat<const T> beta, double eps,
                        double momentum, Mat<T> running_mean, Mat<T> running_var,
                        const ops::NormEpilogue& epilogue, Mat<T> y, Mat<T> mean, Mat<T> rstd);
template <class T>
void batch_norm_infer(Context& ctx, Mat<const T> x, Mat<const T> gamma, Mat<const T> beta, double eps,
                      Mat<const T> running_mean, Mat<const T> running_var, Activation activation, Mat<T> y);
template <class T>
void batch_norm_backward(Context& ctx, Mat<const T> dy, Mat<const T> x, Mat<const T> y, Mat<const T> gamma,
                         Mat<const T> mean, Mat<const T> rstd, const ops::NormEpilogue& epilogue, Mat<T> dx,
                         Mat<T> dgamma, Mat<T> dbeta);
}  // namespace emshap::EMSHAP_BACKEND
