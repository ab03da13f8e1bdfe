#include "video.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "containers.h"

namespace fpg::runtime {

void check_file(const std::string& path) {
  struct stat info{};
  if (path.find('\0') != std::string::npos) throw InputError(path, "embedded null byte");
  if (stat(path.c_str(), &info) != 0) {
    const int code = errno;
    throw InputError(path, code == ENOENT ? "no such file" : std::strerror(code), code_of(code));
  }
  if (!S_ISREG(info.st_mode)) throw InputError(path, "is not a file", codes::not_a_file);
  if (info.st_size == 0) throw InputError(path, "is empty (0 bytes)", codes::empty);
  const std::string what = foreign_kind(path);
  if (!what.empty()) throw InputError(path, "is " + what + ", and neither a picture nor a video", codes::not_media);
}

std::vector<int64_t> sample_indices(int64_t total, int64_t count) {
  std::vector<int64_t> indices;
  if (total < 1) return indices;
  if (count > total) count = total;
  if (count == 1) return {0};
  const double step = static_cast<double>(total - 1) / static_cast<double>(count - 1);
  for (int64_t i = 0; i < count; ++i) {
    // numpy.linspace: i * step, and the end itself last.
    const auto index = i == count - 1 ? total - 1 : static_cast<int64_t>(static_cast<double>(i) * step);
    if (indices.empty() || index > indices.back()) indices.push_back(index);
  }
  return indices;
}

int64_t count_frames(const std::string& path, Notes& notes) {
  Notes unused;
  if (Container(path, reading_constants().containers, reading_constants().max_video_pixels, unused).next() == nullptr)
    throw InputError(path, "holds a video stream but no frame", codes::no_frame);
  Container container(path, reading_constants().containers, reading_constants().max_video_pixels, unused);
  const int64_t count = container.scan();
  if (count == 0) throw InputError(path, "holds a video stream but no frame", codes::no_frame);
  notes.bits_per_pixel = container.bits_per_pixel();
  return count;
}

void read_frames(const std::string& path, const std::vector<int64_t>& indices, const TakeFrame& take, Notes& notes,
                 const Stopped& stopped) {
  Container container(path, reading_constants().containers, reading_constants().max_video_pixels, notes);
  int64_t decoded = 0;
  size_t position = 0;
  while (position < indices.size()) {
    if (stopped && stopped()) return;
    const AVFrame* frame = container.next();
    if (frame == nullptr) {
      throw FrameCountError(
          path, "ends after " + std::to_string(decoded) + " frames, frame " + std::to_string(indices.back()) + " was asked for",
          decoded);
    }
    const double time = container.time_of(frame);
    if (decoded == indices[position]) {
      ++position;
      if (!take({decoded, time, container.shown(frame)})) return;
    }
    ++decoded;
  }
}

}  // namespace fpg::runtime
