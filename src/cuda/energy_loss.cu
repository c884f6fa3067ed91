// Losses over the draws of a row: one warp a row, its lanes share the draws. A row of 1 + K scores is read
// once from memory (and again from L1 for each pass); rows of 4 (1 + K) bytes bound the time, not their sums
// in double.
#include "math/energy_loss.h"

#include "core/mat.h"
#include "cuda/reduce.cuh"
#include "math/order_key.h"

#define EMSHAP_BACKEND cuda
#include "ops/energy_loss_backend.h"

namespace emshap::cuda {
namespace {

constexpr int row_warps = 8;                    // of a block
constexpr std::int64_t row_most_blocks = 1056;  // 8 for each of 132 multiprocessors

/// Blocks of a kernel that gives each warp a row at a time.
std::int64_t row_blocks(std::int64_t rows) {
  const std::int64_t blocks = math::ceil_div(rows, row_warps);
  return blocks < row_most_blocks ? blocks : row_most_blocks;
}

/// See math::SingleLane.
struct WarpLanes {
  std::int64_t lane, lanes = math::warp_threads;
  __device__ double sum(double value) const { return warp_sum(value); }
  __device__ double largest(double value) const {
    return warp_reduce(value, [](double a, double b) { return a != a || b != b ? a + b : a > b ? a : b; });
  }
  __device__ void meet() const { __syncwarp(); }
};

/// Calls body(row, lanes) for every row, the threads of a warp together.
template <class Body>
__device__ void for_each_row(std::int64_t rows, const Body& body) {
  const WarpLanes lanes{static_cast<int>(threadIdx.x) % math::warp_threads};
  const std::int64_t warp = static_cast<int>(threadIdx.x) / math::warp_threads;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * row_warps;
  for (std::int64_t r = static_cast<std::int64_t>(blockIdx.x) * row_warps + warp; r < rows; r += step)
    body(r, lanes);
}

template <class T>
__global__ void energy_loss_kernel(EnergyLoss kind, Mat<const T> scores, const T* limit, double weight,
                                   Mat<T> dscores, double* partial) {
  const double most = limit != nullptr ? static_cast<double>(*limit) : __builtin_inf();
  double total = 0;
  for_each_row(scores.rows, [&](std::int64_t r, const WarpLanes& lanes) {
    total += math::energy_loss_of_row(
        kind, scores.data + r * scores.stride, scores.cols - 1, most, weight,
        dscores.data != nullptr ? dscores.data + r * dscores.stride : static_cast<T*>(nullptr), lanes);
  });
  // Every lane has its warp's total.
  const bool leads = threadIdx.x % math::warp_threads == 0;
  total = block_sum(leads ? total : 0., shared_memory<double>());
  if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

template <class T>
__global__ void mean_kernel(const double* partial, std::int64_t count, double weight, T* mean) {
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < count; i += blockDim.x) sum += partial[i];
  sum = block_sum(sum, shared_memory<double>());
  if (threadIdx.x == 0) *mean = static_cast<T>(sum * weight);
}

template <class T>
__global__ void importance_weights_kernel(Mat<const T> log_w, Mat<T> weights, Mat<T> summary) {
  for_each_row(log_w.rows, [&](std::int64_t r, const WarpLanes& lanes) {
    const auto s = math::importance_weights_of_row(
        log_w.data + r * log_w.stride, log_w.cols,
        weights.data != nullptr ? weights.data + r * weights.stride : static_cast<T*>(nullptr), lanes);
    if (summary.data == nullptr || lanes.lane != 0) return;
    T* const to = summary.data + r * summary.stride;
    to[0] = static_cast<T>(s.log_z);
    to[1] = static_cast<T>(s.effective);
    to[2] = static_cast<T>(s.error);
  });
}

// The score of a given rank, by its digits from the highest on: count how many scores that agree with the
// digits found so far have each next digit, then go to where the rank falls. Counts are integers: their order
// is free. NaN with a sign counts as -inf, NaN without one as no score.
constexpr int digit_bits = 11, digit_values = 1 << digit_bits, digit_passes = 3;

struct RankState {
  std::uint64_t rank;    // among the scores that agree with `digits`, from 1; 0: there is no score
  std::uint32_t digits;  // found so far, the others 0
};

/// Lowest bit of the digit of a pass: bits 21-31, 10-20, 0-9 (the last digit has 10 bits).
__device__ constexpr int lowest_bit(int pass) {
  return pass == 0 ? 21 : pass == 1 ? 10 : 0;
}

__global__ void clear_counts_kernel(unsigned long long* counts) {
  for (int i = static_cast<int>(threadIdx.x); i < digit_values; i += static_cast<int>(blockDim.x))
    counts[i] = 0;
}

__global__ void count_digits_kernel(Mat<const float> scores, int pass, const RankState* state,
                                    unsigned long long* counts) {
  auto* const mine = shared_memory<unsigned>();
  for (int i = static_cast<int>(threadIdx.x); i < digit_values; i += static_cast<int>(blockDim.x))
    mine[i] = 0;
  __syncthreads();
  const int low = lowest_bit(pass);
  const std::uint32_t found = pass == 0 ? 0 : state->digits;
  const std::uint32_t least = math::order_digits(-__builtin_inff());
  const std::int64_t draws = scores.cols - 1, elements = scores.rows * draws;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < elements;
       i += step) {
    std::uint32_t digits = math::order_digits(scores.data[i / draws * scores.stride + i % draws + 1]);
    if (digits > math::order_digits(__builtin_inff())) continue;
    if (digits < least) digits = least;
    // Above the digits of this pass nothing may differ from what was found; before the first, nothing was.
    const int above = pass == 0 ? 32 : pass == 1 ? 21 : 10;
    if (above < 32 && (digits ^ found) >> above != 0) continue;
    atomicAdd(mine + ((digits >> low) & (pass == 2 ? 0x3ffu : 0x7ffu)), 1u);
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < digit_values; i += static_cast<int>(blockDim.x))
    if (mine[i] != 0) atomicAdd(counts + i, static_cast<unsigned long long>(mine[i]));
}

// One warp, 64 counts a lane. Leaves the counts 0 for the next pass.
__global__ void find_digit_kernel(int pass, std::uint64_t rank, unsigned long long* counts, RankState* state,
                                  float* limit) {
  constexpr int each = digit_values / math::warp_threads;
  const int lane = static_cast<int>(threadIdx.x);
  unsigned long long* const mine = counts + lane * each;
  std::uint64_t sum = 0;
  for (int i = 0; i < each; ++i) sum += mine[i];
  std::uint64_t up_to = sum;  // with the lanes before
  for (int by = 1; by < math::warp_threads; by *= 2) {
    const std::uint64_t before = __shfl_up_sync(whole_warp, up_to, static_cast<unsigned>(by));
    if (lane >= by) up_to += before;
  }
  const std::uint64_t total = __shfl_sync(whole_warp, up_to, math::warp_threads - 1);
  const std::uint64_t given = pass == 0 ? rank : state->rank;
  const std::uint64_t wanted = given < total ? given : total;  // fewer where there are NaN
  const std::uint32_t found = pass == 0 ? 0 : state->digits;
  __syncwarp();
  std::uint64_t before = up_to - sum;
  if (wanted == 0) {
    if (lane == 0) *state = {0, 0};
    if (lane == 0 && pass + 1 == digit_passes) *limit = -__builtin_inff();
  } else if (before < wanted && wanted <= up_to) {
    int digit = 0;
    while (before + mine[digit] < wanted) before += mine[digit++];
    const std::uint32_t digits = found | static_cast<std::uint32_t>(lane * each + digit) << lowest_bit(pass);
    *state = {wanted - before, digits};
    if (pass + 1 == digit_passes) *limit = math::from_order_digits(digits);
  }
  for (int i = 0; i < each; ++i) mine[i] = 0;
}

__global__ void no_limit_kernel(float* limit) {
  if (threadIdx.x == 0) *limit = __builtin_inff();
}

constexpr std::int64_t sum_slots = math::warp_threads * static_cast<std::int64_t>(sizeof(double));

}  // namespace

template <class T>
void energy_loss(Context& ctx, EnergyLoss kind, Mat<const T> scores, Mat<const T> limit, Mat<T> loss,
                 Mat<T> dscores) {
  const double weight = scores.rows > 0 ? 1 / static_cast<double>(scores.rows) : 0;
  const std::int64_t blocks = row_blocks(scores.rows);
  const Workspace::Scope scope(ctx.workspace());
  double* partial = ctx.workspace().take<double>(blocks);
  launch(ctx, "energy_loss", energy_loss_kernel<T>, Grid{blocks, row_warps * math::warp_threads, sum_slots},
         kind, scores, limit.data, weight, dscores, partial);
  launch(ctx, "energy_loss: mean", mean_kernel<T>, Grid{1, 256, sum_slots}, partial, blocks, weight,
         loss.data);
}

template <>
void score_limit<float>(Context& ctx, double share, Mat<const float> scores, Mat<float> limit) {
  const std::int64_t draws = scores.cols > 1 ? scores.rows * (scores.cols - 1) : 0;
  if (draws == 0) return launch(ctx, "score_limit", no_limit_kernel, Grid{1, 32}, limit.data);
  const double exact = share * static_cast<double>(draws);
  auto rank = static_cast<std::uint64_t>(exact);
  if (static_cast<double>(rank) < exact) ++rank;
  const Workspace::Scope scope(ctx.workspace());
  auto* counts = ctx.workspace().take<unsigned long long>(digit_values);
  auto* state = ctx.workspace().take<RankState>(1);
  launch(ctx, "score_limit: clear", clear_counts_kernel, Grid{1, 256}, counts);
  const std::int64_t blocks = math::ceil_div(draws, 8 * 256);  // 8 scores a thread beside 8 counts
  const Grid grid{blocks < 528 ? blocks : 528, 256, digit_values * 4};
  for (int pass = 0; pass < digit_passes; ++pass) {
    launch(ctx, "score_limit: count", count_digits_kernel, grid, scores, pass, state, counts);
    launch(ctx, "score_limit: find", find_digit_kernel, Grid{1, 32}, pass, rank, counts, state, limit.data);
  }
}

template <class T>
void importance_weights(Context& ctx, Mat<const T> log_w, Mat<T> weights, Mat<T> summary) {
  launch(ctx, "importance_weights", importance_weights_kernel<T>,
         Grid{row_blocks(log_w.rows), row_warps * math::warp_threads}, log_w, weights, summary);
}

template void energy_loss<float>(Context&, EnergyLoss, Mat<const float>, Mat<const float>, Mat<float>,
                                 Mat<float>);
template void importance_weights<float>(Context&, Mat<const float>, Mat<float>, Mat<float>);

}  // namespace emshap::cuda
