// What fpg-detect-cpp prints and writes for users: lines on the terminal, CSV.
#pragma once

#include <string>
#include <vector>

#include "fpg_runtime/runtime.h"

namespace fpg::runtime {

// Text that may contain a file name, safe for the terminal.
std::string one_line(const std::string& text);

// Prints a result on the standard output; a failure on the standard error, too.
void show(const Judgement& judgement);

// Prints the output of --stats.
void show_stats(const std::vector<Judgement>& results, const std::vector<StageTime>& times, double seconds);

// A line per judged face, and one with the reason per input that could not be judged.
std::string csv_of(const std::vector<Judgement>& results);

}  // namespace fpg::runtime
