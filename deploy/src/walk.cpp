// Lists what folders hold: the twin of fpg/data/walk.py.

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "file_kinds.h"
#include "video.h"

namespace fpg::runtime {
namespace {

std::string suffix_of(const std::string& path) {
  std::string text = std::filesystem::path(path).extension().string();
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return c < 0x80 ? static_cast<char>(std::tolower(c)) : static_cast<char>(c); });
  return text;
}

class Walker {
 public:
  explicit Walker(Walk& found, std::string root) : found_(found), root_(std::move(root)) {}

  void enter(const std::string& folder) {
    struct stat info{};
    std::error_code error;
    if (stat(folder.c_str(), &info) != 0) error = {errno, std::generic_category()};
    std::vector<std::filesystem::path> names;
    if (!error) {
      for (auto it = std::filesystem::directory_iterator(folder, error); !error && it != std::filesystem::directory_iterator();
           it.increment(error))
        names.push_back(it->path());
    }
    if (error) {
      const InputError what(folder, std::strerror(error.value()), code_of(error.value()));
      if (folder == root_) throw what;
      found_.unusable.push_back(what);
      return;
    }
    if (!seen_.emplace(info.st_dev, info.st_ino).second) {
      found_.skipped.push_back({folder, "folder reached before"});
      return;
    }
    std::sort(names.begin(), names.end());
    for (const auto& name : names) take(name);
  }

 private:
  void take(const std::filesystem::path& name) {
    const std::string path = name.string();
    if (name.filename().string()[0] == '.') {
      found_.skipped.push_back({path, "hidden"});
      return;
    }
    struct stat info{};
    if (stat(path.c_str(), &info) != 0) {
      found_.unusable.push_back(dangling(name, errno));
      return;
    }
    if (S_ISDIR(info.st_mode)) {
      enter(path);
      return;
    }
    const std::string kind = kind_by_name(path), suffix = suffix_of(path);
    if (!S_ISREG(info.st_mode)) {
      found_.skipped.push_back({path, "pipe or device"});
    } else if (kind == "image" || kind == "video") {
      found_.media.push_back(path);
    } else if (kind.rfind("unread ", 0) == 0) {
      const std::string what = kind == "unread image" ? "picture" : "video";
      found_.unusable.emplace_back(path, "is a " + what + " of a kind that is not read (" + suffix + ")", codes::unsupported);
    } else {
      found_.skipped.push_back({path, !kind.empty() ? kind : suffix.empty() ? "file without a suffix" : suffix});
    }
  }

  static InputError dangling(const std::filesystem::path& path, int code) {
    std::error_code error;
    const std::string target = std::filesystem::read_symlink(path, error).string();
    if (code == ENOENT && !error) return {path.string(), "is a link to " + target + ", which is not there", codes::missing};
    return {path.string(), std::strerror(code), code_of(code)};
  }

  Walk& found_;
  std::string root_;
  std::set<std::pair<dev_t, ino_t>> seen_;
};

// The name of an unusable item in a summary.
std::string word_of(const InputError& error) {
  if (error.code() == codes::missing) return "dangling link";
  return error.code() == codes::unsupported ? suffix_of(error.path()) : "folder that may not be read";
}

}  // namespace

const char* code_of(int error) {
  if (error == ENOENT || error == ENOTDIR || error == ELOOP) return codes::missing;
  return error == EACCES || error == EPERM ? codes::not_permitted : codes::unreadable;
}

std::string kind_by_name(const std::string& path) {
  const std::string suffix = suffix_of(path);
  for (const auto& [kind, suffixes] : kinds::kSuffixes) {
    if (suffixes.count(suffix) > 0) return kind;
  }
  return "";
}

bool is_video_name(const std::string& path) { return kind_by_name(path) == "video"; }
bool is_image_name(const std::string& path) { return kind_by_name(path) == "image"; }

namespace {

// Whether the table names a picture or a video.
bool is_media(const std::string& what) { return what.rfind("a picture", 0) == 0 || what.rfind("a video", 0) == 0; }

std::string by_first_bytes(const std::string& path) {
  size_t most = 0;
  for (const kinds::Signature& signature : kinds::kSignatures) most = std::max(most, signature.at + signature.bytes.size());
  std::string head(most, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(head.data(), static_cast<std::streamsize>(most));
  head.resize(static_cast<size_t>(file.gcount()));
  for (const kinds::Signature& signature : kinds::kSignatures) {
    if (head.size() > signature.at && head.compare(signature.at, signature.bytes.size(), signature.bytes) == 0)
      return signature.is;
  }
  return "";
}

}  // namespace

std::string foreign_kind(const std::string& path) {
  const std::string what = by_first_bytes(path);
  return is_media(what) ? "" : what;
}

std::string media_kind(const std::string& path) {
  const std::string what = by_first_bytes(path);
  return is_media(what) ? what : "";
}

Walk walk_folder(const std::string& root) {
  Walk found;
  Walker(found, root).enter(root);
  std::sort(found.media.begin(), found.media.end(), natural_less);
  std::sort(found.unusable.begin(), found.unusable.end(),
            [](const InputError& a, const InputError& b) { return natural_less(a.path(), b.path()); });
  std::sort(found.skipped.begin(), found.skipped.end(),
            [](const Skipped& a, const Skipped& b) { return natural_less(a.path, b.path); });
  return found;
}

std::string Walk::summary() const {
  std::map<std::string, size_t> counts;
  for (const InputError& error : unusable) ++counts[word_of(error)];
  for (const Skipped& item : skipped) ++counts[item.reason];
  std::vector<std::pair<std::string, size_t>> sorted(counts.begin(), counts.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string text;
  for (const auto& [what, number] : sorted) text += (text.empty() ? "" : ", ") + std::to_string(number) + " " + what;
  return text.empty() ? text : std::to_string(unusable.size() + skipped.size()) + " not judged: " + text;
}

}  // namespace fpg::runtime
