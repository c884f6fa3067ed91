// Backend of draw_noise.h; included once per backend by ops/backends.h.
namespace emshap::EMSHAP_BACKEND {
/// directions (dimensions, 32): the direction numbers of the first columns, none for independent numbers. It
/// and `numbers` are host memory on every device, and the caller's again when the call returns.
template <class T>
void fill_draw_noise(Context& ctx, const RandomKey& key, const std::int64_t* numbers, std::int64_t first_draw,
                     std::int64_t draws, const std::uint32_t* directions, std::int64_t dimensions, Mat<T> y);
}  // namespace emshap::EMSHAP_BACKEND
