#include "emshap/train/history.h"

#include <algorithm>

#include <fmt/format.h>

namespace emshap {

std::string History::csv() const {
  std::vector<std::string> names;
  for (const Stage& s : stages)
    for (const std::string& term : s.terms)
      if (std::find(names.begin(), names.end(), term) == names.end()) names.push_back(term);

  std::string out = "stage,epoch,step";
  for (const std::string& n : names) out += ",train_" + n;
  for (const std::string& n : names) out += ",val_" + n;
  out += ",learning_rate,gradient_norm,seconds,best\n";
  for (const HistoryRow& row : rows) {
    const auto stage =
        std::find_if(stages.begin(), stages.end(), [&](const Stage& s) { return s.name == row.stage; });
    const auto cells = [&](const std::vector<double>& values) {
      for (const std::string& n : names) {
        out += ',';
        if (stage == stages.end()) continue;
        const auto at = static_cast<std::size_t>(std::find(stage->terms.begin(), stage->terms.end(), n) -
                                                 stage->terms.begin());
        if (at < values.size()) out += fmt::format("{}", values[at]);
      }
    };
    out += fmt::format("{},{},{}", row.stage, row.epoch, row.step);
    cells(row.training);
    cells(row.validation);
    out += fmt::format(",{},{},{:.6f},{}\n", row.learning_rate, row.gradient_norm, row.seconds,
                       row.best ? 1 : 0);
  }
  return out;
}

}  // namespace emshap
