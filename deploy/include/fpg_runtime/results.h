// Results of many inputs: kept on disk as they come, written to files, and printed on a terminal.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fpg_runtime/runtime.h"

namespace fpg::runtime {

// The results of a run, one JSON line each in a file: memory does not grow with their number, and a killed run can continue from
// them. The twin of fpg/record/spool.py and fpg/cli/results.py.
class FPG_RUNTIME_API Results {
 public:
  // path: of the file; empty: a temporary one. resume: keeps the existing lines and appends to them. Throws InputError if the
  // file cannot be written or read, UsageError if its lines come from another model, version or settings.
  Results(const std::string& path, const Options& options, const RunRecord& record, bool resume = false);
  ~Results();
  Results(const Results&) = delete;
  Results& operator=(const Results&) = delete;

  // Whether the resumed run has judged an input that has not changed since; if so, its result gets that place.
  bool take_known(size_t place, const std::string& input);

  // Stores a result at its place; once this returns, it survives the end of the program. Throws InputError.
  void add(size_t place, const Judgement& judgement);

  size_t size() const;
  bool failed() const;                            // an input has no score
  std::map<std::string, int64_t> levels() const;  // number of inputs by level; empty: not judged

  // Writes the files atomically, in the order of the places. Throws InputError.
  void write_json(const std::string& path, const RunRecord& ended, const std::vector<Skipped>& skipped) const;
  void write_csv(const std::string& path) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Text for a terminal: the names of the columns; a line with finding, score, threshold and input, with indented lines below it;
// at the end, the number of inputs by level, worst first. `colour`: with ANSI codes. The twin of fpg/cli/lines.py.
FPG_RUNTIME_API std::string heading();
FPG_RUNTIME_API std::vector<std::string> result_lines(const Judgement& judgement, bool colour = false);
FPG_RUNTIME_API std::vector<std::string> summary_lines(const std::map<std::string, int64_t>& levels);

// Text that may contain a file name, safe for the terminal: control characters are replaced.
FPG_RUNTIME_API std::string one_line(const std::string& text);

// Videos and images that arrive in a folder, once each, when they are no longer being written. The twin of fpg/cli/watch.py.
class FPG_RUNTIME_API Arrivals {
 public:
  explicit Arrivals(std::string folder);  // throws InputError if it cannot be read; if it disappears later, waits for it
  ~Arrivals();
  Arrivals(const Arrivals&) = delete;
  Arrivals& operator=(const Arrivals&) = delete;

  // What has arrived since the last call.
  std::vector<std::string> look();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fpg::runtime
