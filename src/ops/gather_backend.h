// Backend of gather.h; included once per backend by ops/backends.h.
namespace emshap::EMSHAP_BACKEND {
template <class T>
void gather_rows(Context& ctx, Mat<const T> table, const std::int32_t* index, Mat<T> y);
template <class T>
void scatter_rows(Context& ctx, Mat<const T> x, const std::int32_t* index, Mat<T> table);
template <class T>
void scatter_add_rows(Context& ctx, Mat<const T> x, const std::int32_t* index, Mat<T> table);
template <class T>
void sum_table_lines(Context& ctx, Mat<const T> table, Mat<const std::int32_t> index, Mat<const T> factor,
                     const T* base, bool relu, Mat<T> y);
}  // namespace emshap::EMSHAP_BACKEND
