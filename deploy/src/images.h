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
// Built without libheif or libavif, these throw an InputError that says so.
Image read_heif(const std::string& path, Notes& notes);
Image read_avif(const std::string& path, Notes& notes);
// The formats that FFmpeg decodes: PNG, BMP, PPM, JPEG 2000, GIF.
Image read_other(const std::string& path, Notes& notes);

// One row of CMYK to RGB; inverted: as Adobe writes it into JPEG files.
void cmyk_to_rgb(const uint8_t* cmyk, bool inverted, int width, uint8_t* rgb);

std::vector<uint8_t> whole_file(const std::string& path);

// The first of several ISO base media files behind each other, as motion photos have them: up to where another begins, or no box
// does.
std::vector<uint8_t> first_file(std::vector<uint8_t> file);
// Notes that a HEIF or AVIF file names the colours of HDR.
void warn_of_hdr(const std::vector<uint8_t>& file, Notes& notes);

}  // namespace fpg::runtime
