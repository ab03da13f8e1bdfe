// The command line of fpg-detect-cpp, and the inputs that it names.
#pragma once

#include <string>
#include <vector>

#include "fpg_runtime/runtime.h"

namespace fpg::runtime {

struct Arguments {
  std::vector<std::string> models;
  std::vector<std::string> inputs;
  std::string json, jsonl, csv;  // files to write; empty: none
  RunRecord record;
  bool stats = false;
  Options options;
};

// Prints the usage and exits for --help. Throws UsageError.
Arguments parse_arguments(int argc, char** argv);

// What is to be judged, each file once, and what else the folders hold.
struct Inputs {
  std::vector<std::string> files;
  std::vector<InputError> errors;
  std::vector<Skipped> skipped;
  std::vector<std::string> notes;
};

// Lists the files among the inputs and in folders. Throws UsageError.
Inputs expand(const std::vector<std::string>& inputs);

}  // namespace fpg::runtime
