#include "video.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "container.h"

namespace fpg::runtime {
namespace {

std::vector<int64_t> wanted(int64_t available, int frames, int every) {
  if (frames > 0) return sample_indices(available, frames);
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < available; i += every) indices.push_back(i);
  return indices;
}

// How many frames to count on after a pass that met fewer than there are packets. Throws when over a tenth is missing.
int64_t decodable(const std::string& path, const FrameCountError& error, int64_t packets) {
  if (error.decoded() < std::max<int64_t>(1, packets * 9 / 10)) {
    throw InputError(
        path,
        "is truncated or damaged: only " + std::to_string(error.decoded()) + " of " + std::to_string(packets) + " frames decode",
        codes::truncated);
  }
  return error.decoded();
}

}  // namespace

bool natural_less(const std::string& a, const std::string& b) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto lower = [](char c) { return static_cast<unsigned char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); };
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (digit(a[i]) && digit(b[j])) {
      size_t ie = i, je = j;
      while (ie < a.size() && digit(a[ie])) ++ie;
      while (je < b.size() && digit(b[je])) ++je;
      const std::string x = a.substr(i, ie - i), y = b.substr(j, je - j);
      const std::string u = x.substr(std::min(x.find_first_not_of('0'), x.size())),
                        v = y.substr(std::min(y.find_first_not_of('0'), y.size()));
      if (u.size() != v.size()) return u.size() < v.size();
      if (u != v) return u < v;
      i = ie;
      j = je;
    } else {
      if (digit(a[i]) != digit(b[j])) return digit(a[i]);  // text that ends here comes before text that goes on
      if (lower(a[i]) != lower(b[j])) return lower(a[i]) < lower(b[j]);
      ++i;
      ++j;
    }
  }
  if (a.size() - i != b.size() - j) return a.size() - i < b.size() - j;
  return a < b;
}

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

std::vector<std::string> frame_files(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name[0] != '.' && is_image_name(name) && entry.is_regular_file()) files.push_back(entry.path().string());
  }
  if (error) throw InputError(folder, error.message(), code_of(error.value()));
  std::sort(files.begin(), files.end(), natural_less);
  return files;
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
  if (Container(path, kVideoContainers, kMaxVideoPixels, unused).next() == nullptr)
    throw InputError(path, "holds a video stream but no frame", codes::no_frame);
  Container container(path, kVideoContainers, kMaxVideoPixels, unused);
  const int64_t count = container.scan();
  if (count == 0) throw InputError(path, "holds a video stream but no frame", codes::no_frame);
  notes.bits_per_pixel = container.bits_per_pixel();
  return count;
}

void read_frames(const std::string& path, const std::vector<int64_t>& indices, const TakeFrame& take, Notes& notes,
                 const Stopped& stopped) {
  Container container(path, kVideoContainers, kMaxVideoPixels, notes);
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

void read_input(const std::string& path, const Options& options, const TakeFrame& take, Notes& notes, const Stopped& stopped) {
  const int frames = options.frames, every = options.every;
  const auto read = options.decode == "needed" ? read_needed_frames : read_frames;
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    const std::vector<std::string> files = frame_files(path);
    if (files.empty()) throw InputError(path, "the folder holds no images", codes::empty);
    const std::vector<int64_t> indices = wanted(static_cast<int64_t>(files.size()), frames, every);
    for (const int64_t i : indices) {
      // A folder of frames has no clock: one frame per second stands in for it.
      if (!take({i, static_cast<double>(i), read_image(files[static_cast<size_t>(i)], notes)})) return;
    }
    return;
  }
  check_file(path);
  if (is_image_name(path)) {
    Image image = read_image(path, notes);
    const double pixels = static_cast<double>(image.height) * static_cast<double>(image.width);
    notes.bits_per_pixel = 8 * static_cast<double>(std::filesystem::file_size(path, ignored)) / pixels;
    take({0, 0, std::move(image)});
    return;
  }
  const int64_t packets = count_frames(path, notes);
  std::vector<int64_t> indices = wanted(packets, frames, every);
  try {
    read(path, indices, take, notes, stopped);
  } catch (const FrameCountError& error) {
    const int64_t total = decodable(path, error, packets);
    if (frames == 0) return;  // frames in steps do not depend on how many there are
    indices = wanted(total, frames, every);
    read(path, indices, take, notes, stopped);
  }
}

}  // namespace fpg::runtime
