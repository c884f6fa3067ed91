// What is read from a store, and what is removed. The same SQL for all engines.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "stream/store_impl.h"
#include "stream/store_schema.h"

namespace emshap::stream {
namespace {

/// A WHERE clause and its values.
struct Condition {
  std::string sql;
  std::vector<StoreValue> values;

  void add(const std::string& text) { sql += (sql.empty() ? " WHERE " : " AND ") + text; }
  std::string value(StoreValue v) {
    values.push_back(v);
    return fmt::format("${}", values.size());
  }
  void nodes(const std::vector<std::string>& names, const char* in) {
    std::string list;
    for (const std::string& name : names) list += (list.empty() ? "" : ", ") + value(std::string_view(name));
    if (!names.empty()) add(fmt::format("node_id {} ({})", in, list));
  }
};

/// Refers to the texts of `filter`.
Condition condition(const RowFilter& filter) {
  Condition c;
  if (filter.from) c.add("time >= " + c.value(*filter.from));
  if (filter.until) c.add("time < " + c.value(*filter.until));
  c.nodes(filter.nodes, "IN");
  c.nodes(filter.not_nodes, "NOT IN");
  return c;
}

}  // namespace

void EngineStore::read(const RowFilter& filter, const Sample* after, std::int64_t block,
                       std::vector<Sample>& out) {
  // `after` may be one of `out`.
  const std::int64_t time = after == nullptr ? 0 : after->time;
  const std::string node = after == nullptr ? std::string() : after->node_id;
  Condition c = condition(filter);
  if (after != nullptr) {
    const std::string from = c.value(std::string_view(node));
    c.add(fmt::format("(node_id, time) > ({}, {})", from, c.value(time)));
  }
  const std::string sql = fmt::format("SELECT {} FROM samples{} ORDER BY node_id, time LIMIT {}",
                                      sample_columns(), c.sql, std::max<std::int64_t>(block, 0));
  const std::lock_guard lock(mutex_);
  std::size_t rows = 0;
  transaction(false, [&] {
    rows = 0;
    engine_->run(sql, c.values, [&](const StoreRow& row) {
      if (rows == out.size()) out.emplace_back();
      read_sample(row, out[rows++]);
      return true;
    });
    return true;
  });
  out.resize(rows);
}

std::int64_t EngineStore::count(const RowFilter& filter) {
  const Condition c = condition(filter);
  const std::lock_guard lock(mutex_);
  std::int64_t rows = 0;
  transaction(false, [&] {
    engine_->run("SELECT count(*) FROM samples" + c.sql, c.values,
                 [&](const StoreRow& row) { return rows = row.integer(0), true; });
    return true;
  });
  return rows;
}

void EngineStore::scan_quarantine(std::int64_t most, const std::function<void(const Quarantined&)>& take) {
  std::vector<Quarantined> messages;
  {
    const std::lock_guard lock(mutex_);
    transaction(false, [&] {
      messages.clear();
      engine_->run(fmt::format(R"(SELECT {} FROM quarantine ORDER BY topic, "partition", "offset" LIMIT {})",
                               quarantine_columns, std::max<std::int64_t>(most, 0)),
                   {}, [&](const StoreRow& row) {
                     Quarantined& q = messages.emplace_back();
                     q.topic = row.text(0);
                     q.partition = static_cast<std::int32_t>(row.integer(1));
                     q.offset = row.integer(2);
                     q.reason = row.text(3);
                     q.detail = row.text(4);
                     q.bytes = row.text(5);
                     q.stored_at = row.integer(6);
                     return true;
                   });
      return true;
    });
  }
  for (const Quarantined& q : messages) take(q);
}

StoreSummary EngineStore::summary() {
  constexpr std::size_t most_nodes = 1000;
  StoreSummary s;
  std::map<std::pair<std::string, std::int32_t>, StoreSummary::Partition> partitions;
  std::map<std::string, std::int64_t> nodes;
  const auto partition = [&](std::string topic, std::int64_t number) -> StoreSummary::Partition& {
    auto& p = partitions[{topic, static_cast<std::int32_t>(number)}];
    p.topic = std::move(topic);
    p.partition = static_cast<std::int32_t>(number);
    return p;
  };
  const auto by_partition = [&](const char* sql, std::int64_t StoreSummary::Partition::*field) {
    engine_->run(sql, {}, [&](const StoreRow& row) {
      partition(std::string(row.text(0)), row.integer(1)).*field = row.integer(2);
      return true;
    });
  };
  const std::lock_guard lock(mutex_);
  transaction(false, [&] {
    s = {};
    partitions.clear();
    nodes.clear();
    s.engine = engine_->name();
    s.location = engine_->location();
    engine_->run("SELECT version, schema_hash FROM store_info", {}, [&](const StoreRow& row) {
      s.version = row.integer(0);
      s.schema_hash = row.text(1);
      return true;
    });
    for (const StoreEngine::Group& group : engine_->count_groups()) {
      s.first_time = s.samples == 0 ? group.first_time : std::min(s.first_time, group.first_time);
      s.last_time = s.samples == 0 ? group.last_time : std::max(s.last_time, group.last_time);
      s.samples += group.samples;
      nodes[group.node_id] += group.samples;
      partition(group.topic, group.partition).samples += group.samples;
    }
    engine_->run("SELECT reason, count(*) FROM quarantine GROUP BY reason ORDER BY reason", {},
                 [&](const StoreRow& row) {
                   s.rejected.emplace_back(row.text(0), row.integer(1));
                   return true;
                 });
    by_partition(R"(SELECT topic, "partition", count(*) FROM quarantine GROUP BY topic, "partition")",
                 &StoreSummary::Partition::quarantined);
    by_partition(R"(SELECT topic, "partition", CAST(sum(next_offset - first_offset) AS BIGINT) FROM gaps )"
                 R"(GROUP BY topic, "partition")",
                 &StoreSummary::Partition::missed);
    by_partition(R"(SELECT topic, "partition", next_offset FROM progress)",
                 &StoreSummary::Partition::next_offset);
    return true;
  });
  for (const auto& [name, samples] : nodes) {
    if (s.nodes.size() == most_nodes) break;
    s.nodes.emplace_back(name, samples);
  }
  for (auto& [key, p] : partitions) s.partitions.push_back(std::move(p));
  return s;
}

/// Samples go node by node, oldest first, in parts of at most about 50,000, each in its own transaction: a
/// consumer gets in between, and the log stays short.
std::pair<std::int64_t, std::int64_t> EngineStore::prune(std::int64_t time) {
  const std::lock_guard lock(mutex_);
  std::int64_t samples = 0, quarantined = 0;
  std::string node;
  for (bool more = true; more;) {
    std::int64_t removed = 0;
    std::string at;
    transaction(true, [&] {
      removed = 0;
      at = node;
      more = true;
      while (more && removed < 50'000) {
        std::string next;
        const StoreValue before[] = {std::string_view(at)};
        engine_->run("SELECT min(node_id) FROM samples WHERE node_id > $1", before,
                     [&](const StoreRow& row) { return next = row.text(0), true; });
        more = !next.empty();  // no name is empty
        if (!more) break;
        const StoreValue old[] = {std::string_view(next), time};
        std::int64_t end = time;
        engine_->run(
            "SELECT time FROM samples WHERE node_id = $1 AND time < $2 ORDER BY time LIMIT 1 OFFSET 50000",
            old, [&](const StoreRow& row) { return end = row.integer(0), true; });
        const StoreValue part[] = {std::string_view(next), end};
        removed += engine_->run("DELETE FROM samples WHERE node_id = $1 AND time < $2", part);
        if (end == time) at = next;  // else the node has more
      }
      return true;
    });
    samples += removed;
    node = at;
  }
  transaction(true, [&] {
    const StoreValue end[] = {time};
    quarantined = engine_->run("DELETE FROM quarantine WHERE stored_at < $1", end);
    return true;
  });
  engine_->reclaim();
  return {samples, quarantined};
}

}  // namespace emshap::stream
