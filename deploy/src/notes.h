// Remarks on how an input was read: the twin of fpg/data/notes.py.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "fpg_runtime/runtime.h"

namespace fpg::runtime {

struct Notes {
  std::optional<StreamInfo> stream;
  std::optional<double> bits_per_pixel;  // of the video stream or image
  std::vector<std::string> warnings;     // each once, in order

  void warn(const std::string& text) {
    if (std::find(warnings.begin(), warnings.end(), text) == warnings.end()) warnings.push_back(text);
  }
};

}  // namespace fpg::runtime
