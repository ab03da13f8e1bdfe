// JSON of results, and atomic files.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "fpg_runtime/runtime.h"

namespace fpg::runtime {

// A result, as in every file.
nlohmann::ordered_json value_of(const Judgement& judgement);

// The head of a file of results: schema, record, models, protocol, warnings.
nlohmann::ordered_json head_of(const Options& options, const RunRecord& record);

// JSON as text, indented by so many spaces; -1: in one line. Invalid UTF-8 is replaced.
std::string text_of(const nlohmann::ordered_json& value, int indent = 2);

// Writes a file atomically, piece by piece: `produce` is called with the function that writes a piece. Throws InputError.
using Write = std::function<void(const std::string&)>;
void write_atomically(const std::string& path, const std::function<void(const Write&)>& produce);

}  // namespace fpg::runtime
