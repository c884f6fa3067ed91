#include "stream/postgres_connection.h"

#include <fmt/format.h>

#include <cstring>
#include <vector>

#include "emshap/core/error.h"

namespace emshap::stream {
namespace {

std::string one_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  for (char& c : text)
    if (c == '\n' || c == '\t') c = ' ';
  return text;
}

}  // namespace

PostgresConnection::PostgresConnection(std::string url)
    : url_(std::move(url)), location_(without_password(url_)) {
  // libpq's own words are not repeated: they may quote a part of the password, and so may
  // the location of what is no URL.
  const std::unique_ptr<PQconninfoOption, FreePostgres> options(PQconninfoParse(url_.c_str(), nullptr));
  if (options == nullptr)
    throw ConfigError(
        fmt::format("store {}...: not a URL that libpq can read", url_.substr(0, url_.find("//") + 2)));
  bool password = false;
  for (const PQconninfoOption* o = options.get(); o->keyword != nullptr; ++o)
    password |= std::strstr(o->keyword, "password") != nullptr && o->val != nullptr && *o->val != '\0';
  if (location_ != url_ && !password)
    throw ConfigError(
        fmt::format("store {}: the password in the URL cannot be read; '/', '?', '#', '@' and '%' in it are "
                    "written as %2F, %3F, %23, %40 and %25",
                    location_));
}

bool PostgresConnection::connect() {
  if (connection_ != nullptr && PQstatus(connection_.get()) == CONNECTION_OK) return false;
  // Those before the URL are defaults, which it may change.
  // A server that vanished without a word is noticed after half a minute, not after hours.
  const char* const names[] = {"fallback_application_name",
                               "connect_timeout",
                               "tcp_user_timeout",
                               "keepalives_idle",
                               "keepalives_interval",
                               "keepalives_count",
                               "dbname",
                               "client_encoding",
                               nullptr};
  const char* const values[] = {"emshap", "10", "30000", "15", "5", "3", url_.c_str(), "UTF8", nullptr};
  connection_.reset(PQconnectdbParams(names, values, 1));
  if (connection_ == nullptr || PQstatus(connection_.get()) != CONNECTION_OK) {
    const std::string reason =
        connection_ == nullptr ? "no memory" : one_line(PQerrorMessage(connection_.get()));
    connection_.reset();
    throw IoError(fmt::format("store {}: cannot connect: {}", location_, reason), ErrorKind::environment);
  }
  PQsetNoticeProcessor(
      connection_.get(), [](void*, const char*) {}, nullptr);
  return true;
}

bool PostgresConnection::idle() const {
  return connection_ != nullptr && PQstatus(connection_.get()) == CONNECTION_OK &&
         PQtransactionStatus(connection_.get()) == PQTRANS_IDLE;
}

void PostgresConnection::fail(const PGresult* result, std::string_view doing) const {
  const char* state = result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const std::string_view code = state == nullptr ? "" : state;
  const char* message = result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  std::string reason = one_line(message != nullptr ? message : PQerrorMessage(connection_.get()));
  if (code == "40001" || code == "40P01")
    throw TryAgain(fmt::format("store {}: cannot {}: {}", location_, doing, reason));
  ErrorKind kind = ErrorKind::environment;
  if (code == "55P03") reason = "another program did not end its writing in time";
  if (code.starts_with("22") || code.starts_with("42P") || code.starts_with("427") || code.starts_with("XX"))
    kind = ErrorKind::data;  // values, tables or columns that are not as expected, damage
  if (PQstatus(connection_.get()) != CONNECTION_OK) reason = "the connection is lost: " + reason;
  throw IoError(fmt::format("store {}: cannot {}: {}", location_, doing, reason), kind);
}

PostgresResult PostgresConnection::run(const std::string& sql, std::span<const StoreValue> values,
                                       std::string_view doing) {
  constexpr Oid int8 = 20, text = 25;
  std::vector<Oid> types;
  std::vector<std::string> texts;
  std::vector<const char*> pointers;
  for (const StoreValue& value : values) {
    const auto* string = std::get_if<std::string_view>(&value);
    types.push_back(string != nullptr ? text : int8);
    texts.push_back(string != nullptr ? std::string(*string) : std::to_string(std::get<std::int64_t>(value)));
  }
  for (const std::string& value : texts) pointers.push_back(value.c_str());
  PostgresResult result(PQexecParams(connection_.get(), sql.c_str(), static_cast<int>(types.size()),
                                     types.data(), pointers.data(), nullptr, nullptr, 1));
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) fail(result.get(), doing);
  return result;
}

void PostgresConnection::run_all(const std::string& sql, std::string_view doing) {
  const PostgresResult result(PQexec(connection_.get(), sql.c_str()));
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) fail(result.get(), doing);
}

PostgresCopy::PostgresCopy(PostgresConnection& connection, const std::string& sql) : connection_(connection) {
  const PostgresResult result(PQexec(connection.get(), sql.c_str()));
  if (PQresultStatus(result.get()) != PGRES_COPY_IN) connection.fail(result.get(), "write");
  buffer_.assign("PGCOPY\n\377\r\n\0", 11);
  number(std::uint32_t{0});  // no flags
  number(std::uint32_t{0});  // no extension of the header
}

void PostgresCopy::send() {
  if (PQputCopyData(connection_.get(), buffer_.data(), static_cast<int>(buffer_.size())) != 1)
    connection_.fail(nullptr, "write");
  buffer_.clear();
}

bool PostgresCopy::finish() {
  number(static_cast<std::uint16_t>(~0U));  // no more rows
  send();
  if (PQputCopyEnd(connection_.get(), nullptr) != 1) connection_.fail(nullptr, "write");
  bool unique = true;
  PostgresResult error;
  while (PostgresResult result{PQgetResult(connection_.get())}) {
    if (PQresultStatus(result.get()) == PGRES_COMMAND_OK) continue;
    const char* code = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
    if (code != nullptr && std::string_view(code) == "23505")
      unique = false;
    else
      error = std::move(result);
    if (PQstatus(connection_.get()) != CONNECTION_OK) break;
  }
  if (error != nullptr || PQstatus(connection_.get()) != CONNECTION_OK)
    connection_.fail(error.get(), "write");
  return unique;
}

}  // namespace emshap::stream
