// The inputs of fpg-detect-cpp: files and folders.
#pragma once

#include <string>
#include <vector>

#include "fpg_runtime/runtime.h"

namespace fpg::runtime {

// The files to judge, each once, and what else the folders hold.
struct Inputs {
  std::vector<std::string> files;
  std::vector<InputError> errors;
  std::vector<Skipped> skipped;
  std::vector<std::string> notes;
};

// Throws UsageError for an empty name.
Inputs expand(const std::vector<std::string>& names);

}  // namespace fpg::runtime
