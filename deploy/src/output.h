// JSON of results, and files that are whole or absent.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "fpg_runtime/runtime.h"

namespace fpg::runtime {

// A result as it stands in every file.
nlohmann::ordered_json value_of(const Judgement& judgement);

// What a file of results begins with: schema, record, models, protocol, warnings.
nlohmann::ordered_json head_of(const Options& options, const RunRecord& record);

// Text of JSON, indented by so many spaces; -1: in one line. Bytes that are no UTF-8 are replaced.
std::string text_of(const nlohmann::ordered_json& value, int indent = 2);

// Writes a file that is whole or absent, piece by piece: `produce` is given what writes one. Throws InputError.
using Write = std::function<void(const std::string&)>;
void write_atomically(const std::string& path, const std::function<void(const Write&)>& produce);

}  // namespace fpg::runtime
