#pragma once
// Reads an SVG with expat: throws on XML that is not well formed, counts elements, collects texts and marks.
#include <expat.h>

#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "emshap/core/atomic_file.h"

namespace emshap::test {

struct SvgText {
  std::map<std::string, int> elements;  ///< by name
  std::vector<std::string> texts;       ///< content of <text>
  std::string title;                    ///< the first <title>
  int points = 0;                       ///< <use> elements inside a plot
  std::vector<int> polygons;            ///< polygons of each plot

  bool has(const std::string& text) const {
    for (const std::string& t : texts)
      if (t == text) return true;
    return false;
  }
};

namespace detail {
struct Reader {
  SvgText svg;
  std::string current, content;
  int depth = 0, plot_depth = 0;  ///< of <g> elements, and of the plot we are in

  static std::string attribute(const char** attributes, const char* name) {
    for (; *attributes != nullptr; attributes += 2)
      if (std::string(attributes[0]) == name) return attributes[1];
    return {};
  }
  static void start(void* self, const char* name, const char** attributes) {
    auto& r = *static_cast<Reader*>(self);
    r.current = name;
    r.content.clear();
    ++r.svg.elements[name];
    if (r.current == "g") ++r.depth;
    if (attribute(attributes, "id").rfind("gnuplot_plot", 0) == 0) {
      r.svg.polygons.push_back(0);
      r.plot_depth = r.depth;
    }
    if (r.plot_depth == 0) return;  // outside the plots: frame, legend, colour scale
    if (r.current == "polygon") ++r.svg.polygons.back();
    if (r.current == "use") ++r.svg.points;
  }
  static void characters(void* self, const char* text, int length) {
    static_cast<Reader*>(self)->content.append(text, static_cast<std::size_t>(length));
  }
  static void end(void* self, const char* name) {
    auto& r = *static_cast<Reader*>(self);
    if (std::string(name) == "g" && r.depth-- == r.plot_depth) r.plot_depth = 0;
    if (std::string(name) == "text") r.svg.texts.push_back(r.content);
    if (std::string(name) == "title" && r.svg.title.empty()) r.svg.title = r.content;
  }
};
}  // namespace detail

inline SvgText read_svg(const std::filesystem::path& file) {
  const std::string xml = read_file(file);
  detail::Reader reader;
  XML_Parser parser = XML_ParserCreate(nullptr);
  XML_SetUserData(parser, &reader);
  XML_SetElementHandler(parser, detail::Reader::start, detail::Reader::end);
  XML_SetCharacterDataHandler(parser, detail::Reader::characters);
  const bool good = XML_Parse(parser, xml.data(), static_cast<int>(xml.size()), 1) == XML_STATUS_OK;
  const XML_LChar* problem = good ? "" : XML_ErrorString(XML_GetErrorCode(parser));
  XML_ParserFree(parser);
  if (!good) throw std::runtime_error(file.string() + " is not well-formed XML: " + std::string(problem));
  return reader.svg;
}

}  // namespace emshap::test
