#pragma once
// Work that falls into blocks which take unequal time. Private to the library.
#include <cstdint>
#include <functional>

#include "emshap/core/context.h"

namespace emshap {

/// Calls work(context, begin, count) for blocks of at most `block` of `total` items, members taking blocks as
/// they come; contexts are private to members.
void for_blocks(TeamPool& pool, std::int64_t total, std::int64_t block,
                const std::function<void(Context&, std::int64_t, std::int64_t)>& work);

}  // namespace emshap
