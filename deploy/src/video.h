// Decodes forward and once, to RGB, with FFmpeg: the C++ twin of fpg/data/video.py.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
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

// Takes a frame; returning false ends the reading.
using TakeFrame = std::function<bool(Frame)>;

// The stream decodes cleanly but has fewer frames than packets: its codec hides some (fpg/data/video.py).
class FrameCountError : public InputError {
 public:
  FrameCountError(const std::string& path, const std::string& reason, int64_t decoded)
      : InputError(path, reason, codes::truncated), decoded_(decoded) {}
  int64_t decoded() const { return decoded_; }

 private:
  int64_t decoded_;
};

// Counts the frames of a video by its packets, once its first frame has been decoded. Throws InputError if the file is missing,
// empty, not a video, audio only, without frames, truncated, damaged or too large. Stores the bits per pixel in `notes`.
int64_t count_frames(const std::string& path, Notes& notes);

// Called between frames; returning true ends the reading.
using Stopped = std::function<bool()>;

// Reads the frames of these indices (increasing, each once) in order; the others are decoded but not converted. Throws InputError
// if the video is damaged, FrameCountError if it ends early. Remarks on the input go to `notes`.
void read_frames(const std::string& path, const std::vector<int64_t>& indices, const TakeFrame& take, Notes& notes,
                 const Stopped& stopped = {});

// Reads the same frames without decoding what lies between them, from the key frame before each: damage elsewhere goes unnoticed.
// The twin of `read_needed_frames` in fpg/data/seek.py.
void read_needed_frames(const std::string& path, const std::vector<int64_t>& indices, const TakeFrame& take, Notes& notes,
                        const Stopped& stopped = {});

// Reads an image: upright, without alpha; if the file holds several, the main or first one. Throws InputError.
Image read_image(const std::string& path, Notes& notes);

// Whether a file has the brand of HEIF or AVIF.
bool is_heif(const std::string& path);

// The error code for an `errno` of the operating system.
const char* code_of(int error);

// The kind of a file by its suffix (fpg/common/file_kinds.json), empty if the table does not have it.
std::string kind_by_name(const std::string& path);

// What a file that is neither image nor video is, by its first bytes ("a PDF document"); empty if unknown.
std::string foreign_kind(const std::string& path);

// What an image or video is by its first bytes ("a picture (JPEG)", "a video (AVI)"); empty if unknown.
std::string media_kind(const std::string& path);

// Throws InputError unless the path is a file that is not empty and may be an image or a video.
void check_file(const std::string& path);

// The images of a folder of frames in natural order.
std::vector<std::string> frame_files(const std::string& folder);

// Up to `count` evenly spaced indices out of `total`: linspace(0, total - 1, count) truncated, each once.
std::vector<int64_t> sample_indices(int64_t total, int64_t count);

// Reads the frames of an input that are examined (`frames`, `every` and `decode` of the options). `total`: frames of a video, if
// known better than by its packets. Throws InputError, and FrameCountError if the codec of a video whose frames are to be evenly
// spaced hides some: read it again, with the error's `decoded` as `total`.
void read_input(const std::string& path, const Options& options, const TakeFrame& take, Notes& notes, const Stopped& stopped = {},
                std::optional<int64_t> total = std::nullopt);

}  // namespace fpg::runtime
