// What fpg-detect-cpp judges: files and folders of them.
#pragma once

#include <string>
#include <vector>

#include "fpg_runtime/runtime.h"

namespace fpg::runtime {

// What there is to judge, each file once, and what folders hold besides.
struct Inputs {
  std::vector<std::string> files;
  std::vector<InputError> errors;
  std::vector<Skipped> skipped;
  std::vector<std::string> notes;
};

// Throws UsageError for an empty name.
Inputs expand(const std::vector<std::string>& names);

}  // namespace fpg::runtime
