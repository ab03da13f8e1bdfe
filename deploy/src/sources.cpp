// Folders of frames and the order of their names: the twin of fpg/data/layouts/base.py.

#include <algorithm>
#include <filesystem>

#include "video.h"

namespace fpg::runtime {

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

}  // namespace fpg::runtime
