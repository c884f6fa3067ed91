// Backend of shard_gradients.h; included once per backend by ops/backends.h.
namespace emshap::EMSHAP_BACKEND {
template <class T>
void add_shard_gradients(Context& ctx, Mat<const T> slabs, const double* losses, Mat<T> gradient, T* loss);
}  // namespace emshap::EMSHAP_BACKEND
