#pragma once
// Whether a build for a list of CUDA architectures has code for a device.
#include <charconv>
#include <string>
#include <string_view>

namespace emshap::cuda_runtime {

/// `built` as in CMAKE_CUDA_ARCHITECTURES, separated by spaces or semicolons: "75-real 80-real 90". Machine
/// code
/// ("-real") runs on devices of the same major version from its minor version on; intermediate code
/// ("-virtual") on all from its version on; without a suffix there are both. Names like "90a" are of one
/// device only. Words that are no versions ("native", "all") are taken to fit.
inline bool has_code_for(std::string_view built, int major, int minor) {
  const int device = 10 * major + minor;
  bool any = false;
  while (!built.empty()) {
    const std::size_t end = built.find_first_of(" ;");
    const std::string_view word = built.substr(0, end);
    built = end == std::string_view::npos ? std::string_view{} : built.substr(end + 1);
    if (word.empty()) continue;
    any = true;
    int version = 0;
    const auto [rest, error] = std::from_chars(word.data(), word.data() + word.size(), version);
    if (error != std::errc{}) return true;
    const std::string_view suffix(rest, static_cast<std::size_t>(word.data() + word.size() - rest));
    const bool one_only = suffix.starts_with("a");
    const bool family = suffix.starts_with("f");
    const bool real = !suffix.ends_with("-virtual"), intermediate = !suffix.ends_with("-real");
    if (one_only) {
      if (device == version) return true;
      continue;
    }
    if (real && version / 10 == major && device >= version) return true;
    if (intermediate && !family && device >= version) return true;
  }
  return !any;
}

}  // namespace emshap::cuda_runtime
