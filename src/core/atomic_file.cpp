#include "emshap/core/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "emshap/core/error.h"

namespace emshap {
namespace {
constexpr std::size_t buffer_bytes = 1 << 16;
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  // A rename would put a file in the place of a device or pipe; a folder would refuse it after all the work.
  std::error_code ignored;
  const auto there = std::filesystem::status(path_, ignored).type();
  if (there == std::filesystem::file_type::directory) fail("created", EISDIR);
  if (there != std::filesystem::file_type::regular && std::filesystem::exists(path_, ignored))
    throw IoError(
        fmt::format("file {} could not be created: a device or pipe is there, expected a file or nothing",
                    path_.string()),
        ErrorKind::environment);
  temporary_ = path_;
  temporary_ += fmt::format(".tmp{}", ::getpid());
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail("created", errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
    ::unlink(temporary_.c_str());
  }
}

void AtomicFile::fail(const char* action, int error) const {
  throw IoError(fmt::format("file {} could not be {}: {}", path_.string(), action, std::strerror(error)),
                ErrorKind::environment);
}

void AtomicFile::write(const void* data, std::size_t bytes) {
  buffer_.append(static_cast<const char*>(data), bytes);
  if (buffer_.size() >= buffer_bytes) flush();
}

void AtomicFile::flush() {
  std::size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t n = ::write(descriptor_, buffer_.data() + done, buffer_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("written", errno);
    done += static_cast<std::size_t>(n);
  }
  buffer_.clear();
}

void AtomicFile::overwrite(std::int64_t offset, std::string_view bytes) {
  flush();
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(descriptor_, bytes.data(), bytes.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("written", errno);
    bytes.remove_prefix(static_cast<std::size_t>(n));
    offset += n;
  }
}

void AtomicFile::commit() {
  flush();
  if (::fsync(descriptor_) != 0) fail("flushed to disk", errno);
  const int closed = ::close(descriptor_);
  descriptor_ = -1;
  if (closed != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary_.c_str());
    fail(closed != 0 ? "closed" : "renamed into place", error);
  }
  // The rename itself must survive a power cut, so the folder is flushed too.
  const auto folder = path_.has_parent_path() ? path_.parent_path() : std::filesystem::path(".");
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    ::fsync(fd);
    ::close(fd);
  }
}

void write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

std::string read_file(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    throw IoError(fmt::format("file {} could not be read: it is a directory", path.string()));
  std::ifstream in(path, std::ios::binary);
  if (!in) throw IoError(fmt::format("file {} could not be read: {}", path.string(), std::strerror(errno)));
  std::string content{std::istreambuf_iterator<char>(in), {}};
  if (in.bad()) throw IoError(fmt::format("file {} could not be read to its end", path.string()));
  return content;
}

}  // namespace emshap
