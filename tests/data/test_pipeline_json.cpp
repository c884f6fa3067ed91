// Fitted pipelines as files.
#include <doctest/doctest.h>

#include <algorithm>

#include "data_support.h"
#include "emshap/data/pipeline.h"
#include "emshap/data/steps.h"
#include "example_table.h"

using namespace emshap;
using namespace emshap::test;

TEST_CASE("pipeline: written as JSON and read again, every bit is the same") {
  const TemporaryFolder folder;
  const Table t = example(333);
  const Preprocessor p = Preprocessor::fit(t, all_rows(t));
  p.save(folder / "scaler.json");
  const Preprocessor back = Preprocessor::load(folder / "scaler.json");
  CHECK(back.hash() == p.hash());
  CHECK(back.to_json() == p.to_json());
  CHECK(back.features.find<StandardScaler>()->means() == p.features.find<StandardScaler>()->means());
  CHECK(back.features.find<StandardScaler>()->scales() == p.features.find<StandardScaler>()->scales());
  const Tensor a = p.features.transform(t, all_rows(t)), b = back.features.transform(t, all_rows(t));
  CHECK(std::equal(a.ptr<float>(), a.ptr<float>() + a.elements(), b.ptr<float>()));
  const Preprocessor copy = back;
  CHECK(copy.hash() == p.hash());

  const std::string text = p.to_json();
  const auto refused = [&](const std::string& damaged) {
    return error_text(ErrorKind::data, [&] { Preprocessor::load(folder.write("bad.json", damaged)); });
  };
  CHECK_SAYS(refused(text.substr(0, text.size() / 2)), "not valid JSON");
  CHECK_SAYS(refused("{}"), "\"format\" is missing");
  std::string edited = text;
  edited.replace(edited.find("\"count\": 333"), 12, "\"count\": 334");
  CHECK_SAYS(refused(edited), "was the file edited?");
  edited = text;
  edited.replace(edited.find("standard_scaler"), 15, "standard_mangle");
  CHECK_SAYS(refused(edited), "step type 'standard_mangle' is not known");
  edited = text;
  edited.replace(edited.find("\"version\": 1"), 12, "\"version\": 9");
  CHECK_SAYS(refused(edited), "version 9, expected 1");
  CHECK_SAYS(error_text(ErrorKind::data, [&] { Preprocessor::load(folder / "absent.json"); }), "absent.json");
}
