// The frames of an input that are examined: the twin of fpg/runtime/inputs.py.

#include <algorithm>
#include <filesystem>

#include "constants.h"
#include "video.h"

namespace fpg::runtime {
namespace {

std::vector<int64_t> chosen_frames(int64_t available, int frames, int every) {
  if (frames > 0) return sample_indices(available, frames);
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < available; i += every) indices.push_back(i);
  return indices;
}

// Throws InputError if so many frames are missing that frames hidden by the codec cannot explain it.
void check_decodable(const std::string& path, int64_t decoded, int64_t packets) {
  const auto least = static_cast<int64_t>(reading_constants().least_decodable * static_cast<double>(packets));
  if (decoded >= std::max<int64_t>(1, least)) return;
  throw InputError(
      path, "is truncated or damaged: only " + std::to_string(decoded) + " of " + std::to_string(packets) + " frames decode",
      codes::truncated);
}

void read_folder(const std::string& path, const Options& options, const TakeFrame& take, Notes& notes) {
  const std::vector<std::string> files = frame_files(path);
  if (files.empty()) throw InputError(path, "the folder holds no images", codes::empty);
  for (const int64_t i : chosen_frames(static_cast<int64_t>(files.size()), options.frames, options.every)) {
    // A folder of frames has no clock: one frame per second stands in for it.
    if (!take({i, static_cast<double>(i), read_image(files[static_cast<size_t>(i)], notes)})) return;
  }
}

void read_single_image(const std::string& path, const TakeFrame& take, Notes& notes) {
  Image image = read_image(path, notes);
  const double pixels = static_cast<double>(image.height) * static_cast<double>(image.width);
  std::error_code ignored;
  notes.bits_per_pixel = 8 * static_cast<double>(std::filesystem::file_size(path, ignored)) / pixels;
  take({0, 0, std::move(image)});
}

}  // namespace

void read_input(const std::string& path, const Options& options, const TakeFrame& take, Notes& notes, const Stopped& stopped,
                std::optional<int64_t> total) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return read_folder(path, options, take, notes);
  check_file(path);
  if (is_image_name(path)) return read_single_image(path, take, notes);
  const int64_t frames = total ? *total : count_frames(path, notes);
  const auto read = options.decode == "needed" ? read_needed_frames : read_frames;
  try {
    read(path, chosen_frames(frames, options.frames, options.every), take, notes, stopped);
  } catch (const FrameCountError& error) {
    check_decodable(path, error.decoded(), frames);
    if (options.frames > 0) throw;  // one frame in `every` does not depend on how many there are
  }
}

}  // namespace fpg::runtime
