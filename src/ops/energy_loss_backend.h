// Backend of energy_loss.h; included once per backend by ops/backends.h.
namespace emshap::EMSHAP_BACKEND {
template <class T>
void energy_loss(Context& ctx, EnergyLoss kind, Mat<const T> scores, Mat<const T> limit, Mat<T> loss,
                 Mat<T> dscores);
template <class T>
void score_limit(Context& ctx, double share, Mat<const T> scores, Mat<T> limit);
template <class T>
void importance_weights(Context& ctx, Mat<const T> log_w, Mat<T> weights, Mat<T> summary);
}  // namespace emshap::EMSHAP_BACKEND
