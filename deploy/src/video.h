// Decoding forward and once, to RGB: the C++ twin of fpg/data/video.py and images.py, with FFmpeg.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fpg_runtime/runtime.h"
#include "image.h"
#include "notes.h"

namespace fpg::runtime {

struct Frame {
  int64_t index = 0;
  double time_s = 0;
  Image image;
};

// Takes a frame; false ends the reading.
using TakeFrame = std::function<bool(Frame)>;

// An undamaged stream holds fewer frames than packets.
class FrameCountError : public InputError {
 public:
  FrameCountError(const std::string& path, const std::string& reason, int64_t decoded)
      : InputError(path, reason, codes::truncated), decoded_(decoded) {}
  int64_t decoded() const { return decoded_; }

 private:
  int64_t decoded_;
};

// Frames in a video by its packets, after its first frame decoded. Throws InputError for what is missing, empty, no video, audio
// only, without frames, truncated, damaged or too large. `notes` is told the bits per pixel.
int64_t count_frames(const std::string& path, Notes& notes);

// Asked between frames; true ends the reading.
using Stopped = std::function<bool()>;

// Frames of those indices (rising, each once) in order; the others are decoded but not converted.
// Throws InputError where the video is damaged, FrameCountError where it ends early; `notes` is told what there is to say.
void read_frames(const std::string& path, const std::vector<int64_t>& indices, const TakeFrame& take, Notes& notes,
                 const Stopped& stopped = {});

// The same frames without decoding what lies between them, from the key frame before each: damage elsewhere is not seen. The twin
// of `read_needed_frames` in fpg/data/seek.py.
void read_needed_frames(const std::string& path, const std::vector<int64_t>& indices, const TakeFrame& take, Notes& notes,
                        const Stopped& stopped = {});

// A picture, upright, alpha dropped; of several the main or first one. Throws InputError.
Image read_image(const std::string& path, Notes& notes);

// Whether a file says that it holds HEIF or AVIF pictures.
bool is_heif(const std::string& path);

// The code of what the operating system says of a path (`errno`).
const char* code_of(int error);

// The kind of a file by its suffix (fpg/common/file_kinds.json), empty for one that no table names.
std::string kind_by_name(const std::string& path);

// What a file that is neither picture nor video is by its first bytes ("a PDF document"), empty where nothing is known.
std::string foreign_kind(const std::string& path);

// What a picture or video is by its first bytes ("a picture (JPEG)", "a video (AVI)"), empty where they do not tell.
std::string media_kind(const std::string& path);

// Throws InputError unless the path is a file with something in it that may be a picture or a video.
void check_file(const std::string& path);

// The images of a folder of frames in natural order.
std::vector<std::string> frame_files(const std::string& folder);

// Up to `count` indices evenly over `total`: linspace(0, total - 1, count) truncated, each once.
std::vector<int64_t> sample_indices(int64_t total, int64_t count);

// The frames that an input is judged by (`frames`, `every` and `decode` of the options). Hidden frames of a codec are allowed
// for. Where they make the reading start anew, indices do, too.
void read_input(const std::string& path, const Options& options, const TakeFrame& take, Notes& notes,
                const Stopped& stopped = {});

}  // namespace fpg::runtime
