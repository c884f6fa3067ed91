#pragma once
// The tables of a store: one description, in the words of each engine.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "stream/store_engine.h"

namespace emshap::stream {

inline constexpr std::int64_t store_version = 1;

/// "emsh" in the header of an SQLite file.
inline constexpr std::int64_t sqlite_application_id = 0x656d7368;

enum class Dialect : std::uint8_t { sqlite, postgres };
/// Statements that make the tables, without the row of store_info.
std::vector<std::string> schema_statements(Dialect dialect);
/// Of the description, so the same for all engines.
std::string schema_hash();

/// "time, node_id, power_consumption, <metrics>, extra, topic, "partition", "offset"", in the table's order.
const std::string& sample_columns();
inline constexpr int sample_column_count = static_cast<int>(metric_count) + 7;
/// "topic, "partition", "offset", reason, detail, bytes, stored_at"
inline constexpr const char* quarantine_columns =
    R"(topic, "partition", "offset", reason, detail, bytes, stored_at)";
/// A row of sample_columns(); `topic` is left out.
void read_sample(const StoreRow& row, Sample& sample);

/// Makes the tables in the transaction that is open.
void create_schema(StoreEngine& engine, Dialect dialect);
/// Compares version and hash of a store whose tables exist. Throws IoError (data).
void check_schema(StoreEngine& engine);

}  // namespace emshap::stream
