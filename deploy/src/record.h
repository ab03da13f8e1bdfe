// The record of a run: the twin of fpg/record/run.py.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "fpg_runtime/runtime.h"

namespace fpg::runtime {

// The section `record` of a file or line.
nlohmann::ordered_json record_value(const Options& options, const RunRecord& record);

}  // namespace fpg::runtime
