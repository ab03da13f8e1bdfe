// What a file says of itself: the twin of fpg/record/media.py and fpg/record/exif.py.
#pragma once

#include <istream>
#include <map>
#include <optional>
#include <string>

#include "fpg_runtime/runtime.h"

namespace fpg::runtime {

// Container, streams, and what is stated about the making of a picture or video; nothing where it cannot be opened.
std::optional<MediaInfo> describe_media(const std::string& path);

// Whether a file is another than when it was examined, by its size and time.
bool changed_since(const std::string& path, const Exhibit& exhibit);

// make, model, encoder and created, each where a TIFF structure (a TIFF file, or an EXIF block with or without its prefix) states
// it.
std::map<std::string, std::string> exif_texts(std::istream& data);

}  // namespace fpg::runtime
