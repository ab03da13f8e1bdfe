#include "csv.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "constants.h"

namespace fpg::runtime {
namespace {

using json = nlohmann::ordered_json;

// Text for a CSV file: always quoted, so that spreadsheets with another separator do not split it; an apostrophe precedes what a
// spreadsheet would take for a formula (the last four are full-width forms).
std::string quoted(std::string text) {
  const std::string start = text.substr(std::min(text.find_first_not_of(' '), text.size()));
  for (const char* formula :
       {"=", "+", "-", "@", "\t", "\r", "\n", "\xef\xbc\x9d", "\xef\xbc\x8b", "\xef\xbc\x8d", "\xef\xbc\xa0"}) {
    if (start.rfind(formula, 0) == 0) {
      text.insert(0, "'");
      break;
    }
  }
  std::string result = "\"";
  for (const char c : text) result += c == '"' ? std::string("\"\"") : std::string(1, c);
  return result + "\"";
}

std::string quoted(const json& value) { return quoted(value.is_string() ? value.get<std::string>() : std::string()); }

std::string joined(const json& texts) {
  std::string result;
  for (const json& text : texts) result += (result.empty() ? "" : "; ") + text.get<std::string>();
  return result;
}

std::string csv_line(const std::vector<std::string>& cells) {
  std::string line;
  for (const std::string& cell : cells) line += (line.empty() ? "" : ",") + cell;
  return line + "\n";
}

// A number in a cell: quoted like text, but never a formula.
std::string number_cell(const char* format, const json& value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value.get<double>());
  return std::string("\"") + text + "\"";
}

}  // namespace

std::string csv_head() {
  std::vector<std::string> head;
  for (const json& name : constants()["record"]["csv_columns"]) head.push_back(quoted(name.get<std::string>()));
  return csv_line(head);
}

std::string csv_rows(const json& result) {
  const std::string none = "\"\"";
  const std::string input = quoted(result["input"]), warnings = quoted(joined(result["warnings"]));
  const std::string words = result["finding"].is_null() ? none : quoted(result["finding"]["words"]);
  std::string text;
  if (!result["error"].is_null()) {
    std::vector<std::string> cells(8, none);
    cells.insert(cells.begin(), input);
    cells.insert(cells.end(), {quoted(result["error"]), quoted(result["error_code"]), warnings, words});
    text += csv_line(cells);
  }
  for (const json& frame : result["frames"]) {
    for (const json& face : frame["faces"]) {
      std::vector<std::string> cells = {input, number_cell("%.0f", frame["index"]), number_cell("%.4f", frame["time_s"])};
      for (const json& edge : face["box"]) cells.push_back(number_cell("%.2f", edge));
      cells.insert(cells.end(),
                   {number_cell("%.6f", face["score"]), number_cell("%.0f", face["track"]), none, none, warnings, words});
      text += csv_line(cells);
    }
  }
  return text;
}

}  // namespace fpg::runtime
