#pragma once
// One column of a table: typed cells and which of them are present.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emshap/core/export.h"
#include "emshap/data/buffer.h"

namespace emshap {

enum class ColumnType : std::uint8_t { f32, i64, text };
enum class ColumnRole : std::uint8_t {
  feature,  ///< f32
  target,   ///< f32
  group,    ///< text: rows of one group stay together in a split
  time,     ///< i64, see CsvSource for the forms that are read
  node_id,  ///< text: the host a row comes from
};
EMSHAP_API const char* to_string(ColumnType type);
EMSHAP_API const char* to_string(ColumnRole role);

struct ColumnSpec {
  std::string name;
  ColumnType type = ColumnType::f32;
  ColumnRole role = ColumnRole::feature;
  friend bool operator==(const ColumnSpec&, const ColumnSpec&) = default;
};

class EMSHAP_API Column {
 public:
  Column() = default;
  explicit Column(ColumnSpec spec) : spec_(std::move(spec)) {}

  const ColumnSpec& spec() const { return spec_; }
  const std::string& name() const { return spec_.name; }
  ColumnType type() const { return spec_.type; }
  ColumnRole role() const { return spec_.role; }
  void set_role(ColumnRole role) { spec_.role = role; }

  std::int64_t size() const { return size_; }
  std::int64_t missing() const { return missing_; }
  bool present(std::int64_t row) const {
    return missing_ == 0 || (present_[static_cast<std::size_t>(row >> 6)] >> (row & 63) & 1) != 0;
  }
  /// Presence bits, 64 rows a word, bit r % 64 of word r / 64; empty while nothing is missing.
  std::span<const std::uint64_t> presence() const { return present_.span(); }

  /// All cells; missing ones are NaN. Throws DTypeError for another type.
  std::span<const float> f32() const;
  /// All cells; missing ones are 0. Throws DTypeError for another type.
  std::span<const std::int64_t> i64() const;
  /// One cell; missing ones are empty. Throws DTypeError for another type.
  std::string_view text(std::int64_t row) const;

  /// Each throws DTypeError for another type.
  void push_f32(float value);
  void push_i64(std::int64_t value);
  void push_text(std::string_view value);
  void push_missing();
  /// Appends row `row` of a column of the same type.
  void push_from(const Column& other, std::int64_t row);
  /// Appends all cells of a column of the same type.
  void append(const Column& other);
  void clear();
  /// Heap memory in use, in bytes.
  std::int64_t bytes() const;

 private:
  void check(ColumnType type) const;
  void note_present();
  ColumnSpec spec_;
  std::int64_t size_ = 0;
  std::int64_t missing_ = 0;
  Buffer<float> f32_;
  Buffer<std::int64_t> i64_;
  Buffer<char> chars_;
  Buffer<std::uint64_t> ends_;  // of each text in chars_
  Buffer<std::uint64_t> present_;
};

}  // namespace emshap
