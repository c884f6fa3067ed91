#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace emshap::test {

/// Reads the bytes as CSV, in several shapes of roles and chunks. Returns an empty text, or what went wrong:
/// an exception that is no emshap::Error, a message without a place, or a table that is not the same when
/// written and read again.
std::string fuzz_csv_once(const std::uint8_t* data, std::size_t size);

}  // namespace emshap::test
