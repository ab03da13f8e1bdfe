// Results of many inputs: on disk as they come, the files that are made of them, and what a terminal is told.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fpg_runtime/runtime.h"

namespace fpg::runtime {

// The results of a run, a JSON line each in a file: memory does not grow with what was judged, and a run that was killed goes on
// from them. The twin of fpg/record/spool.py and fpg/cli/results.py.
class FPG_RUNTIME_API Results {
 public:
  // path: of the file; empty for one that nobody sees. resume: keeps the lines that are there and goes on behind them.
  // Throws InputError where it cannot be written or read, UsageError where its lines come from another model, version or
  // settings.
  Results(const std::string& path, const Options& options, const RunRecord& record, bool resume = false);
  ~Results();
  Results(const Results&) = delete;
  Results& operator=(const Results&) = delete;

  // Whether the run that is resumed has judged an input, which has not changed since: its result then gets that place.
  bool take_known(size_t place, const std::string& input);

  // Keeps a result at its place. When this returns, the end of the program does not take it away. Throws InputError.
  void add(size_t place, const Judgement& judgement);

  size_t size() const;
  bool failed() const;                            // an input has no score
  std::map<std::string, int64_t> levels() const;  // how many have which level; empty: not judged

  // The files, in the order of the places, whole or absent. Throws InputError.
  void write_json(const std::string& path, const RunRecord& ended, const std::vector<Skipped>& skipped) const;
  void write_csv(const std::string& path) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// What a terminal is told: names of the columns; a line with finding, score, threshold and input, and indented ones below it; at
// the end how many inputs came to which level, worst first. `colour`: with ANSI codes. The twin of fpg/cli/lines.py.
FPG_RUNTIME_API std::string heading();
FPG_RUNTIME_API std::vector<std::string> result_lines(const Judgement& judgement, bool colour = false);
FPG_RUNTIME_API std::vector<std::string> summary_lines(const std::map<std::string, int64_t>& levels);

// Text that may hold a file name, for the terminal: control characters replaced.
FPG_RUNTIME_API std::string one_line(const std::string& text);

// What arrives in a folder: videos and pictures, once each, when nobody is writing them any more. The twin of fpg/cli/watch.py.
class FPG_RUNTIME_API Arrivals {
 public:
  explicit Arrivals(std::string folder);  // throws InputError where it cannot be read; one that is away later is waited for
  ~Arrivals();
  Arrivals(const Arrivals&) = delete;
  Arrivals& operator=(const Arrivals&) = delete;

  // Looks at the folder: what has arrived since the last look.
  std::vector<std::string> look();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fpg::runtime
