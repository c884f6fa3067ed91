// Backend of masked_input.h; included once per backend by ops/backends.h.
namespace emshap::EMSHAP_BACKEND {
/// `sizes` is host memory on every device, and the caller's again when the call returns.
template <class T>
void random_masks(Context& ctx, const RandomKey& key, std::int64_t first_row, const double* sizes,
                  double scale, Mat<const T> observed, Mat<T> mask, Mat<T> weight);
template <class T>
void masked_input(Context& ctx, Mat<const T> x, Mat<const T> mask, Mat<const T> mu, Mat<const T> log_sd,
                  Mat<const std::int32_t> code, Mat<const std::int32_t> offset, Mat<T> y);
}  // namespace emshap::EMSHAP_BACKEND
