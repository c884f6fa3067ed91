#include "emshap/train/checkpoint.h"

#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "core/memory.h"
#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/data/hash.h"

namespace emshap {
namespace {

constexpr std::string_view magic = "EMSHAPCK";
enum Kind : std::uint8_t { kind_f32 = 1, kind_f64 = 2, kind_i32 = 3, kind_i64 = 4, kind_text = 5 };

const char* kind_name(std::uint8_t kind) {
  switch (kind) {
    case kind_f32:
      return "f32";
    case kind_f64:
      return "f64";
    case kind_i32:
      return "i32";
    case kind_i64:
      return "i64";
    case kind_text:
      return "text";
    default:
      return "unknown";
  }
}

std::int64_t kind_bytes(std::uint8_t kind) {
  switch (kind) {
    case kind_f32:
    case kind_i32:
      return 4;
    case kind_f64:
    case kind_i64:
      return 8;
    case kind_text:
      return 1;
    default:
      return 0;
  }
}

std::uint8_t kind_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return kind_f32;
    case DType::f64:
      return kind_f64;
    case DType::i32:
      return kind_i32;
  }
  return 0;
}

template <class T>
void put(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i)
    out += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i) & 0xff);
}

/// Reads little-endian numbers, throwing at the end of the data.
struct Cursor {
  const std::string& data;
  const std::string& path;
  std::size_t at = 0;

  void need(std::size_t bytes) const {
    if (data.size() - at < bytes)
      throw IoError(fmt::format("{}: the checkpoint is damaged: a section reaches beyond the end", path));
  }
  template <class T>
  T number() {
    need(sizeof(T));
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i)
      value |= static_cast<std::uint64_t>(static_cast<unsigned char>(data[at + i])) << (8 * i);
    at += sizeof(T);
    return static_cast<T>(value);
  }
};

}  // namespace

std::uint64_t hash_bytes(const void* data, std::size_t bytes) {
  Hash64 hash;
  hash.text({static_cast<const char*>(data), bytes});
  return hash.value();
}

std::string hash_file(const std::filesystem::path& path) {
  const std::string content = read_file(path);
  return fmt::format("{:016x}", hash_bytes(content.data(), content.size()));
}

void CheckpointWriter::section(const std::string& name, std::uint8_t kind, const Shape& shape,
                               const void* data, std::size_t bytes) {
  if (!names_.emplace(name, true).second)
    throw Error(ErrorKind::internal, fmt::format("checkpoint section '{}' is added twice", name));
  put<std::uint32_t>(body_, static_cast<std::uint32_t>(name.size()));
  body_ += name;
  put<std::uint8_t>(body_, kind);
  put<std::uint8_t>(body_, static_cast<std::uint8_t>(shape.rank()));
  for (int i = 0; i < shape.rank(); ++i) put<std::int64_t>(body_, shape[i]);
  put<std::uint64_t>(body_, bytes);
  body_.append(static_cast<const char*>(data), bytes);
  ++count_;
}

void CheckpointWriter::add(const std::string& name, ConstTensorView tensor) {
  if (!tensor.contiguous()) throw ShapeError(fmt::format("checkpoint section '{}' is not contiguous", name));
  const auto bytes = static_cast<std::size_t>(tensor.elements() * size_of(tensor.dtype()));
  std::string host(bytes, '\0');
  copy_bytes(host.data(), Device{}, tensor.data(), tensor.device(), static_cast<std::int64_t>(bytes));
  section(name, kind_of(tensor.dtype()), tensor.shape(), host.data(), bytes);
}

void CheckpointWriter::add(const std::string& name, std::span<const std::int64_t> integers) {
  section(name, kind_i64, Shape{static_cast<std::int64_t>(integers.size())}, integers.data(),
          integers.size_bytes());
}

void CheckpointWriter::add(const std::string& name, std::span<const double> reals) {
  section(name, kind_f64, Shape{static_cast<std::int64_t>(reals.size())}, reals.data(), reals.size_bytes());
}

void CheckpointWriter::add(const std::string& name, std::string_view text) {
  section(name, kind_text, Shape{static_cast<std::int64_t>(text.size())}, text.data(), text.size());
}

void CheckpointWriter::write(const std::filesystem::path& path) const {
  std::string content(magic);
  put<std::uint32_t>(content, checkpoint_version);
  put<std::uint32_t>(content, count_);
  put<std::uint64_t>(content, body_.size());
  content += body_;
  put<std::uint64_t>(content, hash_bytes(content.data(), content.size()));
  write_file_atomically(path, content);
}

CheckpointReader::CheckpointReader(const std::filesystem::path& path)
    : path_(path.string()), content_(read_file(path)) {
  const auto fail = [&](const std::string& what) { throw IoError(fmt::format("{}: {}", path_, what)); };
  constexpr std::size_t head = 8 + 4 + 4 + 8, tail = 8;
  if (content_.size() < magic.size() || content_.compare(0, magic.size(), magic) != 0)
    fail("this is not a checkpoint (its first bytes are not EMSHAPCK)");
  Cursor cursor{content_, path_, magic.size()};
  if (content_.size() < head + tail)
    fail(fmt::format("the checkpoint is cut off after {} bytes", content_.size()));
  if (const auto version = cursor.number<std::uint32_t>(); version != checkpoint_version)
    fail(fmt::format("the checkpoint has format version {}, this program reads version {}", version,
                     checkpoint_version));
  const auto count = cursor.number<std::uint32_t>();
  const auto body = cursor.number<std::uint64_t>();
  if (body != content_.size() - head - tail)
    fail(fmt::format("the checkpoint is cut off or damaged: {} bytes of sections, expected {}",
                     content_.size() - head - tail, body));
  Cursor checksum{content_, path_, content_.size() - tail};
  if (checksum.number<std::uint64_t>() != hash_bytes(content_.data(), content_.size() - tail))
    fail("the checkpoint is damaged: its checksum does not fit its content");
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto length = cursor.number<std::uint32_t>();
    cursor.need(length);
    const std::string name = content_.substr(cursor.at, length);
    cursor.at += length;
    Section s{};
    s.kind = cursor.number<std::uint8_t>();
    const auto rank = cursor.number<std::uint8_t>();
    if (rank > Shape::max_rank || kind_bytes(s.kind) == 0)
      fail(fmt::format("section '{}' has an unknown form", name));
    std::int64_t extent[Shape::max_rank] = {};
    std::int64_t elements = 1;
    for (int axis = 0; axis < rank; ++axis) {
      extent[axis] = cursor.number<std::int64_t>();
      if (extent[axis] < 0 ||
          (extent[axis] > 0 && elements > static_cast<std::int64_t>(content_.size()) / extent[axis]))
        fail(fmt::format("section '{}' has an impossible shape", name));
      elements *= extent[axis];
    }
    switch (rank) {
      case 0:
        s.shape = Shape{};
        break;
      case 1:
        s.shape = Shape{extent[0]};
        break;
      case 2:
        s.shape = Shape{extent[0], extent[1]};
        break;
      case 3:
        s.shape = Shape{extent[0], extent[1], extent[2]};
        break;
      default:
        s.shape = Shape{extent[0], extent[1], extent[2], extent[3]};
        break;
    }
    s.bytes = cursor.number<std::uint64_t>();
    if (s.bytes != static_cast<std::uint64_t>(elements * kind_bytes(s.kind)))
      fail(fmt::format("section '{}' has {} bytes, which does not fit its shape", name, s.bytes));
    cursor.need(s.bytes);
    s.offset = cursor.at;
    cursor.at += s.bytes;
    sections_.emplace(name, s);
  }
}

const CheckpointReader::Section& CheckpointReader::find(const std::string& name, std::uint8_t kind) const {
  const auto found = sections_.find(name);
  if (found == sections_.end())
    throw IoError(fmt::format("{}: the checkpoint has no section '{}'", path_, name));
  if (found->second.kind != kind)
    throw IoError(fmt::format("{}: section '{}' holds {}, expected {}", path_, name,
                              kind_name(found->second.kind), kind_name(kind)));
  return found->second;
}

void CheckpointReader::read(const std::string& name, TensorView tensor) const {
  const Section& s = find(name, kind_of(tensor.dtype()));
  if (!(s.shape == tensor.shape()) || !tensor.contiguous())
    throw IoError(fmt::format("{}: section '{}' has shape {}, expected {}", path_, name, s.shape.str(),
                              tensor.shape().str()));
  copy_bytes(tensor.data(), tensor.device(), content_.data() + s.offset, Device{},
             static_cast<std::int64_t>(s.bytes));
}

std::vector<std::int64_t> CheckpointReader::integers(const std::string& name) const {
  const Section& s = find(name, kind_i64);
  std::vector<std::int64_t> values(s.bytes / sizeof(std::int64_t));
  if (s.bytes > 0) std::memcpy(values.data(), content_.data() + s.offset, s.bytes);
  return values;
}

std::vector<double> CheckpointReader::reals(const std::string& name) const {
  const Section& s = find(name, kind_f64);
  std::vector<double> values(s.bytes / sizeof(double));
  if (s.bytes > 0) std::memcpy(values.data(), content_.data() + s.offset, s.bytes);
  return values;
}

std::string CheckpointReader::text(const std::string& name) const {
  const Section& s = find(name, kind_text);
  return content_.substr(s.offset, s.bytes);
}

}  // namespace emshap
