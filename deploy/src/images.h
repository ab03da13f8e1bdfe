// Readers of image formats, one library each: the twin of fpg/data/images.py. All throw InputError and return upright images.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "constants.h"
#include "image.h"
#include "notes.h"

namespace fpg::runtime {

Image read_jpeg(const std::string& path, Notes& notes);
Image read_webp(const std::string& path, Notes& notes);
Image read_tiff(const std::string& path, Notes& notes);
// HEIF and AVIF; built without libheif, throws an InputError that says so.
Image read_heif(const std::string& path, Notes& notes);
// The formats that FFmpeg decodes: PNG, BMP, PPM, JPEG 2000, GIF.
Image read_other(const std::string& path, Notes& notes);

// One row of CMYK to RGB; inverted: as Adobe writes it into JPEG files.
void cmyk_to_rgb(const uint8_t* cmyk, bool inverted, int width, uint8_t* rgb);

std::vector<uint8_t> whole_file(const std::string& path);

}  // namespace fpg::runtime
