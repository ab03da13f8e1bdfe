// Records which bytes were examined: the twin of fpg/record/exhibit.py.

#include <sys/stat.h>

#include <ctime>
#include <filesystem>

#include "fpg_runtime/runtime.h"
#include "media.h"
#include "sha256.h"
#include "video.h"

namespace fpg::runtime {
namespace {

std::string utc(const timespec& time) {
  std::tm parts{};
  gmtime_r(&time.tv_sec, &parts);
  char date[32], text[64];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text, sizeof text, "%s.%06ldZ", date, time.tv_nsec / 1000);
  return text;
}

Exhibit folder(const std::string& path) {
  Exhibit found;
  std::string lines;
  int64_t bytes = 0;
  const std::vector<std::string> frames = frame_files(path);
  if (frames.empty()) return found;
  for (const std::string& frame : frames) {
    lines += sha256_of_file(frame) + "  " + std::filesystem::path(frame).filename().string() + "\n";
    bytes += static_cast<int64_t>(std::filesystem::file_size(frame));
  }
  found.sha256 = sha256(lines);
  found.bytes = bytes;
  return found;
}

}  // namespace

Exhibit examine(const std::string& path) {
  Exhibit found;
  try {
    struct stat status{};
    if (stat(path.c_str(), &status) != 0) return found;
    if (S_ISDIR(status.st_mode)) return folder(path);
    if (!S_ISREG(status.st_mode)) return found;
    found.sha256 = sha256_of_file(path);
    found.bytes = status.st_size;
    found.modified = utc(status.st_mtim);
    found.media = describe_media(path);
  } catch (const std::exception&) {
    return {};
  }
  return found;
}

bool changed_since(const std::string& path, const Exhibit& exhibit) {
  if (!exhibit.modified) return false;
  struct stat status{};
  return stat(path.c_str(), &status) != 0 || status.st_size != exhibit.bytes || utc(status.st_mtim) != exhibit.modified;
}

}  // namespace fpg::runtime
