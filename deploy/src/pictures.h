// Readers of picture formats, one library each; all throw InputError and give upright pictures.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "image.h"
#include "notes.h"

namespace fpg::runtime {

constexpr int64_t kMaxImagePixels = 100'000'000;
constexpr const char* kSeveral = "holds several pictures: only the main or first one was read";
constexpr const char* kInks = "is CMYK: it was converted to RGB without a colour profile";

Image read_jpeg(const std::string& path, Notes& notes);
Image read_webp(const std::string& path, Notes& notes);
Image read_tiff(const std::string& path, Notes& notes);
// HEIF and AVIF; refused by name where this was built without libheif.
Image read_heif(const std::string& path, Notes& notes);
// What FFmpeg decodes: PNG, BMP, PPM, JPEG 2000, GIF.
Image read_other(const std::string& path, Notes& notes);

// One row of CMYK to RGB; inverted: as Adobe writes it into JPEG.
void inks_to_rgb(const uint8_t* cmyk, bool inverted, int width, uint8_t* rgb);

std::vector<uint8_t> whole_file(const std::string& path);

}  // namespace fpg::runtime
