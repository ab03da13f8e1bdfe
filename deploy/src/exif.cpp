#include "exif.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <sstream>
#include <vector>

#include "media.h"

namespace fpg::runtime {
namespace {

constexpr uint64_t kMostTexts = 1000, kLongestText = 1000;  // entries searched for texts, and characters read
constexpr uint16_t kOrientation = 0x0112, kSubDirectory = 0x8769, kAscii = 2, kShort = 3, kLong = 4;
const std::map<uint64_t, std::string> kTexts = {
    {0x010f, "make"}, {0x0110, "model"}, {0x0131, "encoder"}, {0x0132, "changed"}, {0x9003, "created"}};

struct Entry {
  uint64_t tag, kind, count, value;
  std::streamoff at;  // of the value's field
};

// A TIFF or BigTIFF structure; the latter has 8 bytes for offsets, counts and values where the former has 4.
class Tiff {
 public:
  explicit Tiff(std::istream& data) : data_(data) {
    std::array<char, 6> start{};
    while (data_.read(start.data(), 6) && std::memcmp(start.data(), "Exif\0\0", 6) == 0) base_ += 6;  // some write it twice
    data_.clear();
    data_.seekg(base_);
    data_.read(start.data(), 4);
    const std::string magic(start.data(), 4);
    little_ = magic == std::string("II*\0", 4) || magic == std::string("II+\0", 4);
    big_ = magic == std::string("II+\0", 4) || magic == std::string("MM\0+", 4);
    if (little_ || big_ || magic == std::string("MM\0*", 4)) first_ = number(big_ ? 8 : 4, place());
    if (first_.value_or(0) > INT32_MAX) first_.reset();
  }

  // The offset of the first directory; nullopt if this is no TIFF structure.
  std::optional<uint64_t> first() const { return first_; }

  // A number of so many bytes; nullopt if the data end before it does.
  std::optional<uint64_t> number(std::streamoff at, size_t bytes) {
    std::array<uint8_t, 8> raw{};
    data_.clear();
    data_.seekg(base_ + at);
    if (!data_.read(reinterpret_cast<char*>(raw.data()), static_cast<std::streamsize>(bytes))) return std::nullopt;
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value |= static_cast<uint64_t>(raw[i]) << 8 * (little_ ? i : bytes - 1 - i);
    return value;
  }

  // The entries of a directory, up to the end of the data.
  std::vector<Entry> entries(uint64_t directory, uint64_t most) {
    std::vector<Entry> found;
    if (directory > INT32_MAX) return found;
    const auto start = static_cast<std::streamoff>(directory), width = static_cast<std::streamoff>(place());
    const uint64_t count = std::min(number(start, big_ ? 8 : 2).value_or(0), most);
    for (uint64_t i = 0; i < count; ++i) {
      const std::streamoff at = start + (big_ ? 8 : 2) + (4 + 2 * width) * static_cast<std::streamoff>(i);
      const auto tag = number(at, 2), kind = number(at + 2, 2);
      const auto values = number(at + 4, place()), value = number(at + 4 + width, place());
      if (!tag || !kind || !values || !value) break;
      found.push_back({*tag, *kind, *values, *value, at + 4 + width});
    }
    return found;
  }

  std::string text(const Entry& entry) {
    std::string text(std::min(entry.count, kLongestText), '\0');
    const bool inside = entry.count <= place();
    data_.clear();
    data_.seekg(base_ + (inside ? entry.at : static_cast<std::streamoff>(std::min<uint64_t>(entry.value, INT64_MAX / 2))));
    data_.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(data_.gcount()));
    text.resize(std::strlen(text.c_str()));
    return text;
  }

 private:
  size_t place() const { return big_ ? 8 : 4; }

  std::istream& data_;
  std::streamoff base_ = 0;
  bool little_ = false, big_ = false;
  std::optional<uint64_t> first_;
};

// Adds the texts of a directory; returns the place of its subdirectory, 0 if it has none.
uint64_t add_texts(Tiff& tiff, uint64_t directory, std::map<std::string, std::string>& found) {
  uint64_t below = 0;
  for (const Entry& entry : tiff.entries(directory, kMostTexts)) {
    if (entry.tag == kSubDirectory && entry.kind == kLong) below = entry.value;
    const auto name = kTexts.find(entry.tag);
    if (name == kTexts.end() || entry.kind != kAscii || found.count(name->second)) continue;
    const std::string text = tiff.text(entry);
    if (single_line(text)) found[name->second] = text;
  }
  return below;
}

}  // namespace

int exif_orientation(std::istream& data) {
  Tiff tiff(data);
  if (!tiff.first()) return 1;
  for (const Entry& entry : tiff.entries(*tiff.first(), UINT16_MAX)) {
    if (entry.tag != kOrientation) continue;
    const bool fits = entry.count == 1 && (entry.kind == kShort || entry.kind == kLong);  // LONG is not standard, but occurs
    const uint64_t value = fits ? tiff.number(entry.at, entry.kind == kShort ? 2 : 4).value_or(1) : 1;
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

int exif_orientation(const uint8_t* data, size_t size) {
  std::istringstream stream(std::string(reinterpret_cast<const char*>(data), size));
  return exif_orientation(stream);
}

std::map<std::string, std::string> exif_texts(std::istream& data) {
  Tiff tiff(data);
  std::map<std::string, std::string> found;
  if (!tiff.first()) return found;
  const uint64_t below = add_texts(tiff, *tiff.first(), found);
  if (below != 0) add_texts(tiff, below, found);
  if (found.count("changed")) {
    found.emplace("created", found["changed"]);
    found.erase("changed");
  }
  return found;
}

}  // namespace fpg::runtime
