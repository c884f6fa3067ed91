#pragma once
// RAII over libpq, its errors as ours, and the binary format of COPY.
#include <libpq-fe.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "stream/store_engine.h"

namespace emshap::stream {

struct FreePostgres {
  void operator()(PGconn* connection) const { PQfinish(connection); }
  void operator()(PGresult* result) const { PQclear(result); }
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
using PostgresResult = std::unique_ptr<PGresult, FreePostgres>;

/// A number as the wire has it: most significant byte first.
template <class Unsigned>
Unsigned network_order(Unsigned value) {
  if constexpr (std::endian::native == std::endian::little) {
    if constexpr (sizeof value == 8) return __builtin_bswap64(value);
    if constexpr (sizeof value == 4) return __builtin_bswap32(value);
    if constexpr (sizeof value == 2) return __builtin_bswap16(value);
  }
  return value;
}

/// One connection, made when it is needed and again after it was lost.
class PostgresConnection {
 public:
  /// Throws ConfigError for a URL that libpq does not understand.
  explicit PostgresConnection(std::string url);

  const std::string& location() const { return location_; }
  /// Connects if need be; returns whether it did. Throws IoError (environment).
  bool connect();
  void drop() { connection_.reset(); }
  bool idle() const;  ///< connected, outside of a transaction
  PGconn* get() const { return connection_.get(); }

  /// One statement, values as $1, $2, ...; results in binary format. Throws as fail().
  PostgresResult run(const std::string& sql, std::span<const StoreValue> values, std::string_view doing);
  /// Several statements without values.
  void run_all(const std::string& sql, std::string_view doing);
  /// Throws IoError or TryAgain for a result (or connection) that is an error.
  [[noreturn]] void fail(const PGresult* result, std::string_view doing) const;

 private:
  std::string url_, location_;
  std::unique_ptr<PGconn, FreePostgres> connection_;
};

/// Rows for COPY ... FROM STDIN (FORMAT binary): PostgreSQL's documentation, "COPY", "Binary Format". Rows
/// are sent in pieces of 256 KiB.
class PostgresCopy {
 public:
  /// `sql` ends with the COPY statement.
  PostgresCopy(PostgresConnection& connection, const std::string& sql);

  void row(int fields) {
    if (buffer_.size() > (256U << 10U)) send();
    number(static_cast<std::uint16_t>(fields));
  }
  void null() { number(~std::uint32_t{0}); }
  void integer(std::int64_t value) { sized(static_cast<std::uint64_t>(value)); }
  void integer32(std::int32_t value) { sized(static_cast<std::uint32_t>(value)); }
  void real(float value) { std::isnan(value) ? null() : sized(std::bit_cast<std::uint32_t>(value)); }
  void text(std::string_view value) {
    number(static_cast<std::uint32_t>(value.size()));
    buffer_ += value;
  }
  /// Ends it. False for a row whose key is there already: the transaction is then aborted (to its savepoint).
  bool finish();

 private:
  template <class Unsigned>
  void number(Unsigned value) {
    const Unsigned bytes = network_order(value);
    buffer_.append(reinterpret_cast<const char*>(&bytes), sizeof bytes);
  }
  template <class Unsigned>
  void sized(Unsigned value) {
    number(static_cast<std::uint32_t>(sizeof value));
    number(value);
  }
  void send();

  PostgresConnection& connection_;
  std::string buffer_;
};

}  // namespace emshap::stream
