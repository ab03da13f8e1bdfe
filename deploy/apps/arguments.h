// The command line of fpg-detect-cpp.
#pragma once

#include <string>
#include <vector>

#include "fpg_runtime/runtime.h"

namespace fpg::runtime {

struct Arguments {
  std::vector<std::string> models;  // one at least; empty: the starter
  std::vector<std::string> inputs;
  std::string watch;  // a folder, empty: none
  std::string json, jsonl, csv;
  RunRecord record;
  bool stats = false, resume = false;
  Options options;
};

// Throws UsageError; `--help` prints and ends the program.
Arguments parse(int argc, char** argv);

}  // namespace fpg::runtime
