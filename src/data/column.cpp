#include "emshap/data/column.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "emshap/core/error.h"

namespace emshap {

const char* to_string(ColumnType type) {
  switch (type) {
    case ColumnType::f32:
      return "f32";
    case ColumnType::i64:
      return "i64";
    case ColumnType::text:
      return "text";
  }
  return "?";
}

const char* to_string(ColumnRole role) {
  switch (role) {
    case ColumnRole::feature:
      return "feature";
    case ColumnRole::target:
      return "target";
    case ColumnRole::group:
      return "group";
    case ColumnRole::time:
      return "time";
    case ColumnRole::node_id:
      return "node_id";
  }
  return "?";
}

void Column::check(ColumnType type) const {
  if (spec_.type != type)
    throw DTypeError(fmt::format("column '{}' holds {}, it was used as {}", spec_.name, to_string(spec_.type),
                                 to_string(type)));
}

std::span<const float> Column::f32() const {
  check(ColumnType::f32);
  return f32_.span();
}

std::span<const std::int64_t> Column::i64() const {
  check(ColumnType::i64);
  return i64_.span();
}

std::string_view Column::text(std::int64_t row) const {
  check(ColumnType::text);
  const auto r = static_cast<std::size_t>(row);
  const std::uint64_t begin = r == 0 ? 0 : ends_[r - 1];
  if (ends_[r] == begin) return {};
  return {chars_.data() + begin, ends_[r] - begin};
}

// The bitmap comes into being with the first missing cell.
void Column::note_present() {
  if (missing_ > 0) {
    const auto word = static_cast<std::size_t>(size_ >> 6);
    if (word >= present_.size()) present_.push_back(0);
    present_[word] |= std::uint64_t{1} << (size_ & 63);
  }
  ++size_;
}

void Column::push_f32(float value) {
  check(ColumnType::f32);
  if (std::isnan(value)) return push_missing();
  f32_.push_back(value);
  note_present();
}

void Column::push_i64(std::int64_t value) {
  check(ColumnType::i64);
  i64_.push_back(value);
  note_present();
}

void Column::push_text(std::string_view value) {
  check(ColumnType::text);
  chars_.append(value.data(), value.size());
  ends_.push_back(chars_.size());
  note_present();
}

void Column::push_missing() {
  switch (spec_.type) {
    case ColumnType::f32:
      f32_.push_back(std::numeric_limits<float>::quiet_NaN());
      break;
    case ColumnType::i64:
      i64_.push_back(0);
      break;
    case ColumnType::text:
      ends_.push_back(chars_.size());
      break;
  }
  if (missing_ == 0) {
    const auto full = static_cast<std::size_t>(size_ >> 6);
    present_.clear();
    present_.resize(full, ~std::uint64_t{0});
    if ((size_ & 63) != 0) present_.push_back((std::uint64_t{1} << (size_ & 63)) - 1);
  }
  if (static_cast<std::size_t>(size_ >> 6) >= present_.size()) present_.push_back(0);
  ++missing_;
  ++size_;
}

void Column::push_from(const Column& other, std::int64_t row) {
  other.check(spec_.type);
  if (!other.present(row)) return push_missing();
  const auto r = static_cast<std::size_t>(row);
  switch (spec_.type) {
    case ColumnType::f32:
      return push_f32(other.f32_[r]);
    case ColumnType::i64:
      return push_i64(other.i64_[r]);
    case ColumnType::text:
      return push_text(other.text(row));
  }
}

void Column::append(const Column& other) {
  other.check(spec_.type);
  if (missing_ > 0 || other.missing_ > 0 || spec_.type == ColumnType::text) {
    for (std::int64_t r = 0; r < other.size_; ++r) push_from(other, r);
    return;
  }
  f32_.append(other.f32_.data(), other.f32_.size());
  i64_.append(other.i64_.data(), other.i64_.size());
  size_ += other.size_;
}

void Column::clear() {
  size_ = missing_ = 0;
  f32_.clear();
  i64_.clear();
  chars_.clear();
  ends_.clear();
  present_.clear();
}

std::int64_t Column::bytes() const {
  return static_cast<std::int64_t>(f32_.size() * sizeof(float) + i64_.size() * sizeof(std::int64_t) +
                                   chars_.size() + (ends_.size() + present_.size()) * sizeof(std::uint64_t));
}

}  // namespace emshap
