// Writes what was judged as images, to inspect: the twin of fpg/runtime/show_frames.py.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "fpg_runtime/runtime.h"
#include "image.h"

namespace fpg::runtime {

// Writes an image as a PNG file. Throws InputError.
void write_png(const std::string& path, const Image& image);

// A folder with one folder per input and an index.json. Thread-safe.
class ShownFrames {
 public:
  explicit ShownFrames(std::string folder) : folder_(std::move(folder)) {}

  // Begins an input, or begins it again. Throws InputError.
  void begin(const std::string& path);

  // Adds a judged frame with the network's inputs (float [3, side, side] each). Throws InputError.
  void add(const std::string& path, const FrameScore& frame, const Image& image, const std::vector<std::vector<float>>& inputs,
           int side);

  // Writes the index. Throws InputError.
  void finish() const;

 private:
  struct Face {
    FaceScore score;
    std::string crop;
  };
  struct Frame {
    int64_t index;
    double time_s;
    std::string image;
    std::vector<Face> faces;
  };
  struct Input {
    std::string name, folder;
    std::vector<Frame> frames;
  };

  std::string folder_;
  mutable std::mutex mutex_;
  std::map<std::string, size_t> places_;
  std::vector<Input> inputs_;
};

}  // namespace fpg::runtime
