#include "images.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "containers.h"
#include "exif.h"
#include "orientation.h"
#include "video.h"

namespace fpg::runtime {
namespace {

constexpr size_t kHeifHead = 1 << 16;  // a colour box before the pixels is looked for in so many bytes
constexpr const char* kContainers = "image2,bmp_pipe,ppm_pipe,pgm_pipe,pgmyuv_pipe,j2k_pipe,gif";

// The first bytes of a file.
std::array<uint8_t, 24> start_of(const std::string& path) {
  check_file(path);
  std::array<uint8_t, 24> bytes{};
  std::ifstream(path, std::ios::binary).read(reinterpret_cast<char*>(bytes.data()), bytes.size());
  return bytes;
}

bool begins(const std::array<uint8_t, 24>& start, size_t at, const std::string& text) {
  return std::equal(text.begin(), text.end(), start.begin() + static_cast<std::ptrdiff_t>(at),
                    [](char a, uint8_t b) { return static_cast<uint8_t>(a) == b; });
}

uint32_t big_endian(const uint8_t* bytes) {
  return static_cast<uint32_t>(bytes[0]) << 24 | static_cast<uint32_t>(bytes[1]) << 16 | static_cast<uint32_t>(bytes[2]) << 8 |
         bytes[3];
}

// Whether one of the brands of an ISO base media file is AVIF's.
bool has_avif_brand(const std::string& path) {
  std::array<uint8_t, 512> start{};
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(start.data()), start.size());
  const size_t end = std::min<size_t>(big_endian(start.data()), static_cast<size_t>(file.gcount()) / 4 * 4);
  for (size_t at = 8; at + 4 <= end; at += at == 8 ? 8 : 4) {
    const std::string brand(reinterpret_cast<const char*>(start.data()) + at, 4);
    if (brand == "avif" || brand == "avis") return true;
  }
  return false;
}

// What a PNG says outside its pixels.
struct PngFacts {
  int orientation = 1;
  bool several = false;
};

// Reads a PNG's chunks: checks its size; finds EXIF's orientation, and whether it is animated.
PngFacts png_facts(const std::string& path) {
  PngFacts facts;
  uint32_t frames = 0;
  bool apart = true;  // the picture is none of the animation's frames: the first of them comes after its pixels
  bool begun = false;
  std::ifstream file(path, std::ios::binary);
  file.seekg(8);
  std::array<uint8_t, 8> head{};
  while (file.read(reinterpret_cast<char*>(head.data()), head.size())) {
    const uint32_t length = big_endian(head.data());
    const std::string kind(reinterpret_cast<const char*>(head.data()) + 4, 4);
    std::vector<uint8_t> data;
    if (kind == "IHDR" || kind == "acTL" || kind == "eXIf") {
      data.resize(std::min<uint32_t>(length, 1 << 20));
      if (!file.read(reinterpret_cast<char*>(data.data()), static_cast<std::streamsize>(data.size()))) break;
    }
    if (kind == "IHDR" && data.size() >= 8)
      check_pixels(path, big_endian(data.data()), big_endian(data.data() + 4), reading_constants().max_image_pixels);
    if (kind == "acTL" && data.size() >= 4) frames = big_endian(data.data());
    if (kind == "fcTL" && !begun) apart = false;
    begun = begun || kind == "IDAT";
    if (kind == "eXIf") facts.orientation = exif_orientation(data.data(), data.size());
    file.seekg(static_cast<std::streamoff>(length) + 4 - static_cast<std::streamoff>(data.size()), std::ios::cur);
  }
  facts.several = frames > (apart ? 0U : 1U);
  return facts;
}

}  // namespace

std::vector<uint8_t> whole_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void cmyk_to_rgb(const uint8_t* cmyk, bool inverted, int width, uint8_t* rgb) {
  for (int x = 0; x < width; ++x, cmyk += 4, rgb += 3) {
    const int white = inverted ? cmyk[3] : 255 - cmyk[3];
    for (int c = 0; c < 3; ++c) {
      const int ink = inverted ? 255 - cmyk[c] : cmyk[c], product = ink * white + 128;
      rgb[c] = static_cast<uint8_t>(std::clamp(white - ((product >> 8) + product) / 256, 0, 255));
    }
  }
}

std::vector<uint8_t> first_file(std::vector<uint8_t> file) {
  size_t end = 0;
  while (end + 8 <= file.size()) {
    const uint8_t* box = file.data() + end;
    const size_t size = size_t{box[0]} << 24 | size_t{box[1]} << 16 | size_t{box[2]} << 8 | box[3];
    const bool named = std::all_of(box + 4, box + 8, [](uint8_t c) { return c >= 0x20 && c < 0x7f; });
    if (end > 0 && (!named || std::equal(box + 4, box + 8, "ftyp"))) break;
    if (size < 8 || size > file.size() - end) return file;  // the last one, a long one, or cut off
    end += size;
  }
  file.resize(end);
  return file;
}

void warn_of_hdr(const std::vector<uint8_t>& file, Notes& notes) {
  const std::string name = "colrnclx";
  const auto end = file.begin() + static_cast<std::ptrdiff_t>(std::min(file.size(), kHeifHead));
  for (auto at = file.begin(); (at = std::search(at, end, name.begin(), name.end())) != end; at += 8) {
    const bool pq_or_hlg = end - at >= 12 && at[10] == 0 && (at[11] == 16 || at[11] == 18);
    if (pq_or_hlg) return notes.warn("has the colours of HDR, which were not converted");
  }
}

bool is_heif(const std::string& path) {
  const std::array<uint8_t, 24> start = start_of(path);
  const std::string brand(reinterpret_cast<const char*>(start.data()) + 8, 4);
  return begins(start, 4, "ftyp") && reading_constants().heif_brands.count(brand) > 0;
}

Image read_other(const std::string& path, Notes& notes) {
  const bool png = begins(start_of(path), 0, "\x89PNG");
  // Read here because the decoder does not say why it refuses a file.
  const PngFacts facts = png ? png_facts(path) : PngFacts{};
  if (facts.several) notes.warn(reading_constants().several_images);
  try {
    Notes unused;  // there is only one stream
    // Of an animated PNG, the image that programs without animation display.
    Container container(path, png ? "png_pipe" : kContainers, reading_constants().max_image_pixels, unused, true);
    const AVFrame* frame = container.next();
    if (frame == nullptr) throw InputError(path, "is not a readable image (damaged, or of another format)");
    return upright(Converter(path).rgb(frame), facts.orientation);
  } catch (const InputError& error) {
    const std::string& reason = error.reason();
    const bool undecoded = reason.rfind("cannot be decoded", 0) == 0;
    if (reason.rfind("is not a readable video", 0) == 0 || reason.rfind("holds", 0) == 0 || (undecoded && !png)) {
      const std::string what = media_kind(path);
      if (what.rfind("a video", 0) == 0)
        throw InputError(path, "is " + what + ", and its name is that of a picture", codes::unsupported);
      throw InputError(path, "is not a readable image (damaged, or of another format)");
    }
    if (undecoded || reason.rfind("is damaged at", 0) == 0) throw InputError(path, "is damaged or truncated", codes::damaged);
    throw;
  }
}

Image read_image(const std::string& path, Notes& notes) {
  const std::array<uint8_t, 24> start = start_of(path);
  if (begins(start, 0, "\xff\xd8\xff")) return read_jpeg(path, notes);
  if (begins(start, 0, "RIFF") && begins(start, 8, "WEBP")) return read_webp(path, notes);
  for (const char* magic : {"II*", "II+", "MM"}) {
    const bool wide = magic[0] == 'I' || (start[2] == 0 && (start[3] == '*' || start[3] == '+'));
    if (begins(start, 0, magic) && wide) return read_tiff(path, notes);
  }
  if (!is_heif(path)) return read_other(path, notes);
  return has_avif_brand(path) ? read_avif(path, notes) : read_heif(path, notes);
}

}  // namespace fpg::runtime
