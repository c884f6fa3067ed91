// Backend of random_fill.h; included once per backend by ops/backends.h.
namespace emshap::EMSHAP_BACKEND {
template <class T>
void fill_uniform(Context& ctx, const RandomKey& key, double low, double high, Mat<T> y);
template <class T>
void fill_normal(Context& ctx, const RandomKey& key, double mean, double sd, Mat<T> y);
}  // namespace emshap::EMSHAP_BACKEND
