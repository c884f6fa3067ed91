#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "emshap/stream/record_reader.h"

namespace emshap::test {

/// Decodes the bytes as one message. Returns an empty text, or what went wrong: not one outcome, an accepted
/// sample that should not be, or one that is another after encoding and decoding.
std::string fuzz_message_once(std::string_view bytes);

/// Reads the bytes as a file. Returns an empty text, or what went wrong: an exception that is no
/// emshap::Error, an offset that is missing or twice, or a result that depends on the pieces it was read in,
/// on where reading was taken up again, or on the file growing.
std::string fuzz_file_once(const std::string& bytes, stream::RecordFormat format);

}  // namespace emshap::test
