#include "emshap/report/plot.h"

#include <cstdlib>

#include <fmt/format.h>

#include "emshap/core/atomic_file.h"
#include "emshap/core/error.h"
#include "emshap/report/text_table.h"
#include "report/child_process.h"
#include "report/gnuplot_script.h"
#include "report/number_text.h"

namespace emshap::report {
namespace {

bool is_png(const std::filesystem::path& file) {
  if (file.extension() == ".png") return true;
  if (file.extension() == ".svg") return false;
  throw ConfigError(fmt::format("plot file {} has extension '{}', expected .svg or .png", file.string(),
                                file.extension().string()));
}

std::filesystem::path program_of(const PlotterOptions& options) {
  if (!options.gnuplot.empty()) return find_program(options.gnuplot);
  const char* chosen = std::getenv("EMSHAP_GNUPLOT");
  return find_program(chosen != nullptr && *chosen != '\0' ? chosen : "gnuplot");
}

/// First line of what gnuplot said that is a message: it echoes the command, a caret, then the message.
std::string reason_of(const ChildResult& result, double time_limit) {
  if (!result.started) return "it could not be started: " + result.output;
  if (result.timed_out) return fmt::format("it ran longer than {} s", time_limit);
  const std::size_t message = result.output.find("line ");
  std::string text = message == std::string::npos ? result.output : result.output.substr(message);
  text = text.substr(0, text.find('\n'));
  return fmt::format("exit status {}{}{}", result.exit_status, text.empty() ? "" : ": ", printable(text));
}

/// Puts the chart's title where gnuplot wrote its own name; readers of the picture show it or say it aloud.
/// The names it gives its plots would be shown at the mouse and say nothing.
std::string with_title(std::string svg, const std::string& title) {
  constexpr std::string_view old = "<title>Gnuplot</title>", plot = "<title>gnuplot_plot_", end = "</title>";
  // gnuplot leaves '>' as it is, and XML forbids this of all texts.
  for (std::size_t at = svg.find("]]>"); at != std::string::npos; at = svg.find("]]>", at))
    svg.replace(at + 2, 1, "&gt;");
  for (std::size_t at = svg.find(plot); at != std::string::npos; at = svg.find(plot, at))
    svg.erase(at, svg.find(end, at) + end.size() - at);
  const std::size_t at = svg.find(old);
  if (at == std::string::npos) return svg;
  return svg.replace(at, old.size(), "<title>" + escape_markup(title) + "</title>");
}

}  // namespace

Plotter::Plotter(PlotterOptions options, ProgressSink& sink)
    : options_(std::move(options)), sink_(&sink), program_(program_of(options_)) {}

bool Plotter::write(const Chart& chart, const std::filesystem::path& file) {
  return draw(script_of(chart, {options_.width, options_.height, is_png(file)}), file);
}

bool Plotter::write(const HeatMap& map, const std::filesystem::path& file) {
  return draw(script_of(map, {options_.width, options_.height, is_png(file)}), file);
}

bool Plotter::draw(const GnuplotScript& script, const std::filesystem::path& file) {
  if (program_.empty()) {
    if (!warned_)
      sink_->log(LogLevel::warning,
                 "plots are skipped because gnuplot was not found; install it or set EMSHAP_GNUPLOT");
    warned_ = true;
    return false;
  }
  std::string picture;
  try {
    const TemporaryFolder folder;
    for (const auto& [name, content] : script.files) write_file_atomically(folder.path() / name, content);
    write_file_atomically(folder.path() / "chart.gp", script.commands);
    const ChildResult result = run_child(program_, {"-d", "chart.gp"}, folder.path(), options_.time_limit);
    const auto output = folder.path() / output_name(script.png);
    std::error_code ignored;
    const bool drawn = result.started && !result.timed_out && result.exit_status == 0 &&
                       std::filesystem::exists(output, ignored);
    if (!drawn) {
      sink_->log(LogLevel::warning, fmt::format("plot {} is skipped because {} failed: {}", file.string(),
                                                program_.string(), reason_of(result, options_.time_limit)));
      return false;
    }
    picture = read_file(output);
  } catch (const IoError& error) {
    sink_->log(LogLevel::warning, fmt::format("plot {} is skipped: {}", file.string(), error.what()));
    return false;
  }
  write_file_atomically(file, script.png ? picture : with_title(std::move(picture), script.title));
  return true;
}

}  // namespace emshap::report
