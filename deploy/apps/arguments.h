// The command line of fpg-detect-cpp.
#pragma once

#include <string>
#include <vector>

#include "fpg_runtime/runtime.h"

namespace fpg::runtime {

struct Arguments {
  std::vector<std::string> models;  // at least one; empty: the starter
  std::vector<std::string> inputs;
  std::string watch;  // a folder; empty: none
  std::string json, jsonl, csv;
  RunRecord record;
  bool stats = false, resume = false;
  Options options;
};

// Prints the usage and exits for --help. Throws UsageError.
Arguments parse(int argc, char** argv);

}  // namespace fpg::runtime
