// The real data sets, where EMSHAP_DATA names their folder.
#include <doctest/doctest.h>

#include <cstdlib>
#include <map>
#include <set>

#include "data_support.h"
#include "emshap/data/feature_space.h"
#include "emshap/data/pipeline.h"
#include "emshap/data/split.h"
#include "emshap/data/steps.h"

using namespace emshap;
using namespace emshap::test;

namespace {
const char* data_folder() {
  const char* folder = std::getenv("EMSHAP_DATA");
  if (folder == nullptr) MESSAGE("skipped: EMSHAP_DATA is not set");
  return folder;
}
}  // namespace

TEST_CASE("real data: compactiv") {
  const char* folder = data_folder();
  if (folder == nullptr) return;
  ColumnSelection selection;
  selection.target = "usr";
  const Table t = read_csv(std::filesystem::path(folder) / "compactiv.csv", selection);
  CHECK(t.rows() == 8192);
  CHECK(t.columns().size() == 22);
  CHECK(t.feature_names().size() == 21);
  for (const Column& c : t.columns()) CHECK(c.missing() == 0);
  CHECK(t.column("freeswap").f32()[0] == 1730946);
  const Split s = make_split(t, {});
  CHECK(s.test.size() == 1638);
  CHECK(s.validation.size() == 819);
  const Preprocessor p = Preprocessor::fit(t, s.train);
  CHECK(p.features.outputs() == 21);
  CHECK_SAYS(error_text(ErrorKind::data,
                        [&] {
                          ColumnSelection wrong;
                          wrong.target = "user";
                          read_csv(std::filesystem::path(folder) / "compactiv.csv", wrong);
                        }),
             "did you mean 'usr'");
}

TEST_CASE("real data: specpower") {
  const char* folder = data_folder();
  if (folder == nullptr) return;
  ColumnSelection selection;
  selection.target = "avg_power_w";
  const auto path = std::filesystem::path(folder) / "specpower.csv";
  CHECK_SAYS(error_text(ErrorKind::data, [&] { read_csv(path, selection); }),
             "line 2, column 'server': 's000' is not a number");
  selection.group = "server";
  const Table t = read_csv(path, selection);
  CHECK(t.rows() == 5764);
  CHECK(t.feature_names().size() == 12);
  SplitOptions options;
  options.mode = SplitMode::group;
  const Split s = make_split(t, options);
  std::set<std::string> train, test;
  for (const auto r : s.train) train.emplace(t.column("server").text(r));
  for (const auto r : s.test) test.emplace(t.column("server").text(r));
  for (const auto& server : test) CHECK(train.count(server) == 0);
  CHECK(train.size() + test.size() > 400);
  CHECK(std::abs(static_cast<double>(s.test.size()) - .2 * 5764) < 12);
}

TEST_CASE("real data: specpower with missing cells") {
  const char* folder = data_folder();
  if (folder == nullptr) return;
  ColumnSelection selection;
  selection.target = "avg_power_w";
  selection.group = "server";
  const auto path = std::filesystem::path(folder) / "specpower_missing.csv";
  const Table t = read_csv(path, selection);
  CHECK(t.rows() == 6809);
  CHECK(t.feature_names().size() == 13);
  std::int64_t missing = 0;
  for (const Column& c : t.columns()) missing += c.missing();
  CHECK(missing == 7535);
  CHECK(t.column("turbo_ghz").missing() == 6358);
  CHECK(Preprocessor::fit(t, all_rows(t)).features.find<MeanImpute>() != nullptr);
  RowPolicy policy;
  policy.feature = MissingFeature::drop;
  const Table complete = read_csv(path, selection, policy);
  CHECK(complete.rows() == 440);
  CHECK(complete.provenance().skipped_count("missing feature") == 6809 - 440);
}

TEST_CASE("real data: the columns of compactiv and specpower as densities see them") {
  const char* folder = data_folder();
  if (folder == nullptr) return;
  const auto kinds = [](const FeatureSpace& space) {
    std::map<FeatureKind, std::set<std::string>> found;
    for (const FeatureColumn& c : space.columns()) found[c.kind].insert(c.name);
    return found;
  };
  // Every row there and back.
  const auto round_trip = [](const Table& table, const FeatureSpace& space) {
    const Tensor raw = raw_features(table, all_rows(table));
    Tensor x({raw.rows(), space.features()}, DType::f64), back({raw.rows(), raw.cols()});
    space.to_model_dequantised(raw, {1, RandomPurpose::dequantise}, all_rows(table), x, {}, {});
    CHECK(space.to_raw(x, back) < raw.elements() / 1000);
  };
  ColumnSelection selection;
  selection.target = "usr";
  const Table compactiv = read_csv(std::filesystem::path(folder) / "compactiv.csv", selection);
  const Split rows = make_split(compactiv, {});
  const FeatureSpace a = FeatureSpace::fit(compactiv, rows.train, rows.validation, {});
  for (const std::string& note : a.notes()) MESSAGE(note);
  CHECK(a.transform() == FeatureTransform::quantile);
  CHECK(a.features() == 21);
  CHECK(kinds(a)[FeatureKind::tied].size() == 19);
  CHECK(kinds(a)[FeatureKind::continuous] == std::set<std::string>{"rchar", "wchar"});
  round_trip(compactiv, a);

  selection.target = "avg_power_w";
  selection.group = "server";
  SplitOptions grouped;
  grouped.mode = SplitMode::group;
  const Table servers = read_csv(std::filesystem::path(folder) / "specpower.csv", selection);
  const Split parts = make_split(servers, grouped);
  const FeatureSpace b = FeatureSpace::fit(servers, parts.train, parts.validation, {});
  for (const std::string& note : b.notes()) MESSAGE(note);
  CHECK(b.transform() == FeatureTransform::quantile);
  CHECK(kinds(b)[FeatureKind::categorical].size() == 12);
  round_trip(servers, b);

  const Table gaps = read_csv(std::filesystem::path(folder) / "specpower_missing.csv", selection);
  const Split gap_parts = make_split(gaps, grouped);
  const FeatureSpace c = FeatureSpace::fit(gaps, gap_parts.train, gap_parts.validation, {});
  for (const std::string& note : c.notes()) MESSAGE(note);
  std::set<std::string> missing;
  for (const FeatureColumn& column : c.columns())
    if (column.may_be_missing) missing.insert(column.name);
  CHECK(missing == std::set<std::string>{"l3_cache_kb", "num_psu", "psu_rating_w", "tdp_w", "turbo_ghz"});
  round_trip(gaps, c);
}
