#include "data_location.h"

#include "emshap/stream/feature_store.h"

namespace emshap::app {

Setting& add_data_location(Settings& s, std::string& data, std::string& where, const std::string& help) {
  Setting& setting = s.add("data", "data", data, help);
  setting.saved_as = stream::without_password;
  s.add("data", "where", where,
        "Rows that are read, all when empty: \"time >= 2025-01-01 and node_id in (web-1, web-2)\"");
  return setting;
}

void note_rows(RunModel& entry, const ChosenRows& rows) {
  const auto note = [&](const char* name, const std::string& value) {
    if (rows.where.empty() || value.empty())
      entry.notes.erase(name);
    else
      entry.notes[name] = value;
  };
  note("where", rows.where);
  note("where_time", rows.time);
  note("where_node_id", rows.node_id);
}

std::string chosen_rows(const std::string& data, const std::string& where, const RunModel* entry,
                        ColumnSelection& columns) {
  if (entry == nullptr || (!data.empty() && stream::without_password(data) != entry->data_path)) return where;
  const auto noted = [&](const char* name) {
    const auto found = entry->notes.find(name);
    return found == entry->notes.end() ? std::string() : found->second;
  };
  if (columns.time.empty()) columns.time = noted("where_time");
  if (columns.node_id.empty()) columns.node_id = noted("where_node_id");
  return where.empty() ? noted("where") : where;
}

}  // namespace emshap::app
