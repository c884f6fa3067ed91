// What stands in --data and --store, without opening it.
#include <fstream>
#include <string_view>

#include "emshap/stream/feature_store.h"

namespace emshap::stream {
namespace {

bool is_postgresql(std::string_view location) {
  return location.starts_with("postgresql://") || location.starts_with("postgres://");
}

}  // namespace

bool is_store(const std::string& location) {
  if (is_postgresql(location) || location.starts_with("sqlite:")) return true;
  constexpr std::string_view magic{"SQLite format 3\0", 16};
  char start[magic.size()];
  std::ifstream file(location, std::ios::binary);
  return file.read(start, sizeof start) && std::string_view(start, sizeof start) == magic;
}

std::string without_password(const std::string& location) {
  if (!is_postgresql(location)) return location;
  std::string out = location;
  // postgresql://user:password@host:port,host:port/database?key=value&key=value
  const std::size_t begin = out.find("//") + 2;
  std::size_t at = out.substr(0, out.find('?', begin)).rfind('@');
  // libpq looks for the user first: up to an '@' before any '/', so that a password may contain a '?'.
  if (at == std::string::npos) at = out.substr(0, out.find('/', begin)).rfind('@');
  if (at != std::string::npos && at >= begin) {
    const std::size_t colon = out.find(':', begin);
    if (colon < at) out.erase(colon, at - colon);
  }
  for (std::size_t key = out.find('?'); key != std::string::npos && key + 1 < out.size();) {
    const std::size_t end = std::min(out.find('&', key + 1), out.size());
    const std::string_view pair = std::string_view(out).substr(key + 1, end - key - 1);
    if (pair.starts_with("password=") || pair.starts_with("sslpassword=")) {
      out.erase(key + 1, end - key);  // with the sign behind it
    } else {
      key = end == out.size() ? std::string::npos : end;
    }
  }
  if (out.ends_with('?') || out.ends_with('&')) out.pop_back();
  return out;
}

}  // namespace emshap::stream
