// What fpg-detect-cpp shows while it judges, and at the end.
#pragma once

#include <cstdint>
#include <vector>

#include "fpg_runtime/results.h"

namespace fpg::runtime {

class Screen {
 public:
  // The finding on the standard output; of a failure the reason on the standard error.
  void show(const Judgement& judgement);

  // How many inputs came to which finding.
  void summary(const std::map<std::string, int64_t>& levels) const;

  // What --stats prints.
  void stats(const std::vector<StageTime>& times, double seconds) const;

 private:
  int64_t judged_ = 0, frames_ = 0, faces_ = 0;
};

}  // namespace fpg::runtime
