// Backend of dropout.h; included once per backend by ops/backends.h.
namespace emshap::EMSHAP_BACKEND {
/// y = x * keep / (1 - p); both passes of dropout are this map.
template <class T>
void dropout_apply(Context& ctx, Mat<const T> x, double p, const RandomKey& key, Mat<T> y);
}  // namespace emshap::EMSHAP_BACKEND
