// Which faces of consecutive frames are the same face: the C++ twin of fpg/faces/tracks.py.
#pragma once

#include <cstdint>
#include <vector>

#include "faces.h"

namespace fpg::runtime {

class FaceTracker {
 public:
  // Takes the next frame and returns a number per box, counted from 0 in order of appearance. A cut before it ends all tracks.
  std::vector<int> next(const std::vector<Box>& boxes, bool cut = false);

 private:
  struct Track {
    int number;
    Box box;
    int64_t seen;
  };
  std::vector<Track> tracks_;
  int64_t position_ = 0;
  int count_ = 0;
};

}  // namespace fpg::runtime
