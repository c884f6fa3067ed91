#pragma once
// Reads an HTML page that is also XML with expat: throws where it is not well formed, collects what tests
// look at.
#include <expat.h>

#include <filesystem>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "emshap/core/atomic_file.h"

namespace emshap::test {

struct HtmlText {
  std::map<std::string, int> elements;          ///< by name
  std::map<std::string, std::string> sections;  ///< all text of each <section>, by id
  std::vector<std::string> cells;               ///< text of each <td> and <th>
  std::vector<std::string> titles;              ///< title attributes
  std::set<std::string> ids, references;        ///< ids, and what href="#..." points to
  std::vector<std::string> addresses;           ///< every other href and src
  std::vector<std::string> handlers;            ///< attributes whose name starts with "on"
  bool ids_twice = false;
  std::string text;  ///< of the whole page, without scripts and styles

  bool has_cell(const std::string& wanted) const {
    for (const std::string& cell : cells)
      if (cell == wanted) return true;
    return false;
  }
  bool has_id(const std::string& id) const { return ids.count(id) > 0; }
};

namespace detail {
struct HtmlReader {
  HtmlText page;
  std::string section, cell;
  bool in_cell = false;
  int silent = 0;  ///< inside script, style

  static void start(void* self, const char* name, const char** attributes) {
    auto& r = *static_cast<HtmlReader*>(self);
    const std::string tag = name;
    ++r.page.elements[tag];
    if (tag == "script" || tag == "style") ++r.silent;
    if (tag == "td" || tag == "th") {
      r.in_cell = true;
      r.cell.clear();
    }
    for (; *attributes != nullptr; attributes += 2) {
      const std::string key = attributes[0], value = attributes[1];
      if (key == "id") {
        r.page.ids_twice = r.page.ids_twice || !r.page.ids.insert(value).second;
        if (tag == "section") r.section = value;
      }
      if (key == "title") r.page.titles.push_back(value);
      if (key.rfind("on", 0) == 0) r.page.handlers.push_back(key);
      if (key == "src" || (key.size() >= 4 && key.substr(key.size() - 4) == "href")) {
        if (value.rfind('#', 0) == 0)
          r.page.references.insert(value.substr(1));
        else
          r.page.addresses.push_back(value);
      }
    }
  }
  static void characters(void* self, const char* text, int length) {
    auto& r = *static_cast<HtmlReader*>(self);
    const std::string part(text, static_cast<std::size_t>(length));
    if (r.silent > 0) return;
    r.page.text += part;
    if (!r.section.empty()) r.page.sections[r.section] += part;
    if (r.in_cell) r.cell += part;
  }
  static void end(void* self, const char* name) {
    auto& r = *static_cast<HtmlReader*>(self);
    const std::string tag = name;
    if (tag == "script" || tag == "style") --r.silent;
    if (tag == "section") r.section.clear();
    if (tag != "td" && tag != "th") return;
    r.page.cells.push_back(r.cell);
    r.in_cell = false;
  }
};
}  // namespace detail

inline HtmlText read_html(const std::filesystem::path& file) {
  const std::string html = read_file(file);
  detail::HtmlReader reader;
  XML_Parser parser = XML_ParserCreate("UTF-8");
  XML_SetUserData(parser, &reader);
  XML_SetElementHandler(parser, detail::HtmlReader::start, detail::HtmlReader::end);
  XML_SetCharacterDataHandler(parser, detail::HtmlReader::characters);
  const bool good = XML_Parse(parser, html.data(), static_cast<int>(html.size()), 1) == XML_STATUS_OK;
  const XML_LChar* problem = good ? "" : XML_ErrorString(XML_GetErrorCode(parser));
  const auto line = XML_GetCurrentLineNumber(parser);
  XML_ParserFree(parser);
  if (!good)
    throw std::runtime_error(file.string() + " line " + std::to_string(line) + ": " + std::string(problem));
  return reader.page;
}

}  // namespace emshap::test
