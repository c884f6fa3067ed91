#include "emshap/data/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"

static_assert(std::endian::native == std::endian::little,
              ".npy files are written in the byte order of the processor");

namespace emshap {
namespace {

constexpr std::string_view magic{"\x93NUMPY\x01\x00", 8};
constexpr std::size_t prefix = magic.size() + 2;  // and the length of the header

const char* descr(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "<f4";
    case DType::f64:
      return "<f8";
    case DType::i32:
      return "<i4";
  }
  return "?";
}

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& what) {
  throw IoError(fmt::format("{}: {}", path.string(), what));
}

// The text after `'key':`, without leading blanks.
std::string_view value_of(std::string_view header, std::string_view key, const std::filesystem::path& path) {
  const std::size_t at = header.find(key);
  if (at == std::string_view::npos) fail(path, fmt::format("the .npy header lacks {}", key));
  std::string_view value = header.substr(at + key.size());
  value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
  return value;
}

/// All before the values, `bytes` long or, with 0, the least multiple of 64 that it fits in.
std::string preamble(const char* type, const std::string& extents, std::size_t bytes = 0) {
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", type, extents);
  if (bytes == 0) bytes = (prefix + header.size()) / 64 * 64 + 64;
  header.append(bytes - prefix - header.size() - 1, ' ');
  header += '\n';
  std::string out(magic);
  out += static_cast<char>(header.size() & 255);
  out += static_cast<char>(header.size() >> 8);
  return out + header;
}

}  // namespace

void write_npy(const std::filesystem::path& path, ConstTensorView values) {
  if (values.device().kind != DeviceKind::cpu || !values.contiguous())
    throw ShapeError(
        fmt::format("write_npy: the tensor {} is not contiguous CPU memory", values.shape().str()));
  const Shape& shape = values.shape();
  std::string extents;
  for (int axis = 0; axis < shape.rank(); ++axis)
    extents += fmt::format("{}{}", axis > 0 ? ", " : "", shape[axis]);
  if (shape.rank() == 1) extents += ",";
  AtomicFile file(path);
  file.write(preamble(descr(values.dtype()), extents));
  file.write(values.data(), static_cast<std::size_t>(values.elements() * size_of(values.dtype())));
  file.commit();
}

Tensor read_npy(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  if (bytes.size() < prefix || std::string_view(bytes).substr(0, magic.size()) != magic)
    fail(path, "this is no .npy file of version 1.0");
  const std::size_t length = static_cast<unsigned char>(bytes[8]) +
                             256U * static_cast<std::size_t>(static_cast<unsigned char>(bytes[9]));
  if (bytes.size() < prefix + length) fail(path, "the .npy header is cut off");
  const std::string_view header = std::string_view(bytes).substr(prefix, length);

  DType dtype = DType::f32;
  const std::string_view type = value_of(header, "'descr':", path);
  bool known = false;
  for (const DType candidate : {DType::f32, DType::f64, DType::i32})
    if (type.starts_with(fmt::format("'{}'", descr(candidate)))) {
      dtype = candidate;
      known = true;
    }
  if (!known)
    fail(path,
         fmt::format("the .npy type {} is not read, expected '<f4', '<f8' or '<i4'", type.substr(0, 8)));
  if (!value_of(header, "'fortran_order':", path).starts_with("False"))
    fail(path, "the array is in Fortran order, expected C order");

  std::vector<std::int64_t> extents;
  std::string_view list = value_of(header, "'shape':", path);
  const std::size_t close = list.find(')');
  if (list.empty() || list[0] != '(' || close == std::string_view::npos)
    fail(path, "the .npy shape cannot be read");
  std::uint64_t elements = 1;
  for (std::size_t i = 1; i < close;) {
    if (list[i] == ' ' || list[i] == ',') {
      ++i;
      continue;
    }
    std::uint64_t extent = 0;
    const std::size_t start = i;
    for (; i < close && list[i] >= '0' && list[i] <= '9' && i - start < 18; ++i)
      extent = extent * 10 + static_cast<std::uint64_t>(list[i] - '0');
    if (i == start || extents.size() == Shape::max_rank) fail(path, "the .npy shape cannot be read");
    extents.push_back(static_cast<std::int64_t>(extent));
    if (extent > 0 && elements > (std::uint64_t{1} << 60) / extent) fail(path, "the .npy shape is too large");
    elements *= extent;
  }
  Shape shape;
  switch (extents.size()) {
    case 0:
      break;
    case 1:
      shape = {extents[0]};
      break;
    case 2:
      shape = {extents[0], extents[1]};
      break;
    case 3:
      shape = {extents[0], extents[1], extents[2]};
      break;
    default:
      shape = {extents[0], extents[1], extents[2], extents[3]};
  }
  const std::uint64_t expected = elements * static_cast<std::uint64_t>(size_of(dtype));
  const std::uint64_t got = bytes.size() - prefix - length;
  if (got != expected)
    fail(path,
         fmt::format("there are {} bytes of values, expected {} for shape {}", got, expected, shape.str()));
  Tensor tensor(shape, dtype);
  if (expected > 0) std::memcpy(tensor.view().data(), bytes.data() + prefix + length, expected);
  return tensor;
}

template <class T>
struct NpyWriter<T>::Impl {
  Impl(const std::filesystem::path& path, std::int64_t width) : file(path), columns(width) {
    file.write(header());
  }
  std::string header() const {
    constexpr const char* type = std::is_same_v<T, float>          ? "<f4"
                                 : std::is_same_v<T, std::int32_t> ? "<i4"
                                                                   : "<i8";
    return preamble(type, columns == 0 ? fmt::format("{},", rows) : fmt::format("{}, {}", rows, columns),
                    128);
  }

  AtomicFile file;
  std::int64_t columns, rows = 0;
};

template <class T>
NpyWriter<T>::NpyWriter(const std::filesystem::path& path, std::int64_t columns)
    : impl_(std::make_unique<Impl>(path, columns)) {}
template <class T>
NpyWriter<T>::~NpyWriter() = default;
template <class T>
NpyWriter<T>::NpyWriter(NpyWriter&&) noexcept = default;

template <class T>
void NpyWriter<T>::write(std::span<const T> values) {
  const auto count = static_cast<std::int64_t>(values.size());
  const std::int64_t width = std::max<std::int64_t>(impl_->columns, 1);
  if (count % width != 0)
    throw ShapeError(fmt::format("npy writer: got {} values, expected rows of {}", count, width));
  impl_->file.write(values.data(), values.size_bytes());
  impl_->rows += count / width;
}

template <class T>
void NpyWriter<T>::commit() {
  impl_->file.overwrite(0, impl_->header());
  impl_->file.commit();
}

template class NpyWriter<float>;
template class NpyWriter<std::int32_t>;
template class NpyWriter<std::int64_t>;

}  // namespace emshap
