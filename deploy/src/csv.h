// The CSV of results, safe in a spreadsheet.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace fpg::runtime {

// The names of the columns, as a line.
std::string csv_head();

// Of a result: a line per judged face, or one with the reason.
std::string csv_rows(const nlohmann::ordered_json& result);

}  // namespace fpg::runtime
