#include "inputs.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <set>

namespace fpg::runtime {
namespace {

bool is_url(const std::string& name) {
  const size_t at = name.find("://");
  return at != std::string::npos && at > 0 && std::isalpha(static_cast<unsigned char>(name[0])) &&
         std::all_of(name.begin(), name.begin() + static_cast<long>(at),
                     [](unsigned char c) { return std::isalnum(c) || c == '+' || c == '.' || c == '-'; });
}

}  // namespace

Inputs expand(const std::vector<std::string>& names) {
  Inputs result;
  std::set<std::string> known;
  const auto add = [&](const std::string& file) {
    if (known.insert(file).second) result.files.push_back(file);
  };
  for (const std::string& name : names) {
    if (name.empty()) throw UsageError("INPUT: expected a file or folder, got an empty name");
    std::error_code error;
    if (is_url(name)) {
      result.errors.emplace_back(name, "is a URL, and this program opens none", codes::refused);
    } else if (!std::filesystem::is_directory(name, error)) {
      add(name);
    } else {
      try {
        const Walk found = walk_folder(name);
        if (found.media.empty() && found.unusable.empty())
          result.errors.emplace_back(name, "the folder holds no videos or images", codes::empty);
        std::for_each(found.media.begin(), found.media.end(), add);
        result.errors.insert(result.errors.end(), found.unusable.begin(), found.unusable.end());
        result.skipped.insert(result.skipped.end(), found.skipped.begin(), found.skipped.end());
        if (const std::string text = found.summary(); !text.empty()) result.notes.push_back(name + ": " + text);
      } catch (const InputError& unreadable) {
        result.errors.push_back(unreadable);
      }
    }
  }
  return result;
}

}  // namespace fpg::runtime
