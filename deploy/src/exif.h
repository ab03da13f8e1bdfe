// EXIF blocks and TIFF structures: the twin of fpg/record/exif.py, and of `exif_orientation` in fpg/data/orientation.py. They
// read a TIFF file, or an EXIF block with or without its prefix.
#pragma once

#include <cstddef>
#include <cstdint>
#include <istream>
#include <map>
#include <string>

namespace fpg::runtime {

// The orientation that it states, 1 to 8; 1 if it states none.
int exif_orientation(std::istream& data);
int exif_orientation(const uint8_t* data, size_t size);

// make, model, encoder and created, as far as it states them.
std::map<std::string, std::string> exif_texts(std::istream& data);

}  // namespace fpg::runtime
