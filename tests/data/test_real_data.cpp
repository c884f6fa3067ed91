// The real data sets, where EMSHAP_DATA names their folder.
#include <doctest/doctest.h>

#include <cstdlib>
#include <set>

#include "data_support.h"
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
