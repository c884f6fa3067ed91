#include "emshap/report/attribution_report.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "report/attribution_charts.h"
#include "report/attribution_html.h"

namespace emshap::report {
namespace {

void create(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    throw IoError(fmt::format("folder {} could not be created: {}", folder.string(), error.message()),
                  ErrorKind::environment);
}

/// Draws pictures into a folder and keeps those that the page shows.
class Album {
 public:
  Album(Plotter& plotter, std::filesystem::path folder, bool png)
      : plotter_(plotter), folder_(std::move(folder)), png_(png) {}

  template <class Drawing>
  void add(Picture::Part part, const std::string& name, const Drawing& drawing) {
    const std::filesystem::path file = folder_ / (name + ".svg");
    if (!plotter_.write(drawing, file)) return;
    files.push_back(file);
    pictures.push_back({part, drawing.title, read_file(file)});
    if (png_ && plotter_.write(drawing, folder_ / (name + ".png")))
      files.push_back(folder_ / (name + ".png"));
  }

  std::vector<std::filesystem::path> files;
  std::vector<Picture> pictures;

 private:
  Plotter& plotter_;
  std::filesystem::path folder_;
  bool png_;
};

void draw(const AttributionView& view, Album& album) {
  using Part = Picture::Part;
  const AttributionReport& r = view.report;
  album.add(Part::importance, "importance", importance_chart(view));
  if (!r.sage.empty()) album.add(Part::importance, "sage", sage_chart(view));
  if (view.rows > 1) album.add(Part::beeswarm, "beeswarm", beeswarm_chart(view));
  int number = 0;
  if (view.rows > 1)
    for (const std::size_t player : dependence_players(view))
      album.add(Part::dependence, fmt::format("dependence_{}", ++number), dependence_chart(view, player));
  number = 0;
  for (const std::size_t row : waterfall_rows(view))
    album.add(Part::waterfall, fmt::format("waterfall_{}", ++number), waterfall_chart(view, row));
  if (const std::vector<std::size_t> rows = rows_over_time(view); !rows.empty()) {
    album.add(Part::time, "over_time", time_map(view, rows));
    album.add(Part::time, "prediction_over_time", time_chart(view, rows));
  }
  const bool sizes =
      std::any_of(r.effective_min.begin(), r.effective_min.end(), [](double v) { return std::isfinite(v); });
  if (view.rows >= 10 && sizes) album.add(Part::quality, "effective_sample_size", effective_chart(view));
  if (r.quality.comparison.size() > 1) album.add(Part::quality, "comparison", comparison_chart(view));
}

}  // namespace

AttributionReportFiles write_attribution_report(const AttributionReport& report,
                                                const std::filesystem::path& folder, Plotter* plotter,
                                                const AttributionReportOptions& options, ProgressSink& sink) {
  const AttributionView view(report, options);
  create(folder);
  AttributionReportFiles out;
  std::vector<Picture> pictures;
  std::string missing;
  if (view.rows > 0 && view.players > 0) {
    if (plotter != nullptr) {
      create(folder / "plots");
      Album album(*plotter, folder / "plots", options.png);
      draw(view, album);
      out.pictures = std::move(album.files);
      pictures = std::move(album.pictures);
    }
    if (plotter == nullptr)
      missing = "This report was written without pictures; its numbers are complete.";
    else if (pictures.empty())
      missing =
          "The pictures are missing because gnuplot was not found or failed. Install gnuplot or set "
          "EMSHAP_GNUPLOT to it and write the report again; the numbers below are complete.";
    if (!missing.empty()) sink.log(LogLevel::warning, "attribution report: " + missing);
  }
  out.html = folder / "report.html";
  write_file_atomically(out.html, attribution_page(view, pictures, missing));
  return out;
}

}  // namespace emshap::report
