// Decoded frames as a player displays them: the twin of fpg/data/display.py.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

extern "C" {
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>
}

#include "image.h"
#include "notes.h"
#include "orientation.h"

namespace fpg::runtime {

// Throws InputError if width x height exceeds the limit.
void check_pixels(const std::string& path, int64_t width, int64_t height, int64_t limit);

// FFmpeg's message for one of its error codes.
std::string words(int code);

// Converts frames to RGB with the stream's own matrix and range, by swscale; untagged ones count as BT.601, limited range.
class Converter {
 public:
  explicit Converter(std::string path) : path_(std::move(path)) {}
  // Throws InputError for pixels that cannot be converted.
  Image rgb(const AVFrame* frame);

 private:
  struct FreeScaler {
    void operator()(SwsContext* p) const { sws_freeContext(p); }
  };
  void prepare(const AVFrame* frame, int fields);
  [[noreturn]] void refuse(const AVFrame* frame, const std::string& why) const;

  std::string path_;
  std::unique_ptr<SwsContext, FreeScaler> scaler_;
  std::array<int, 6> kind_{};  // of frames that the scaler is set up for
  std::vector<uint8_t> rows_;
};

// Turns decoded frames of one stream into images; remarks on the conversion go to `notes`.
class Display {
 public:
  Display(std::string path, AVFormatContext* format, AVStream* stream, Notes& notes)
      : path_(path), format_(format), stream_(stream), notes_(notes), converter_(std::move(path)) {}
  // Throws InputError for pixels that cannot be converted, or if the image is too large.
  Image operator()(const AVFrame* frame);

 private:
  Image rgb(const AVFrame* frame);
  void warn_of_colours(const AVFrame* frame, bool converted);
  void describe(const AVFrame* frame, AVRational aspect, const Turn& turn);
  Turn turn_of(const AVFrame* frame) const;

  std::string path_;
  AVFormatContext* format_;
  AVStream* stream_;
  Notes& notes_;
  Converter converter_;
};

// Removes the comb artefacts of an interlaced frame.
Image without_combs(const Image& image);

}  // namespace fpg::runtime
