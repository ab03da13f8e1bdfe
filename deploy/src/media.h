// What a file says about itself: the twin of fpg/record/media.py.
#pragma once

#include <optional>
#include <string>

#include "fpg_runtime/runtime.h"

namespace fpg::runtime {

// Container, streams, and what an image or video states about its origin; nullopt if it cannot be opened.
std::optional<MediaInfo> describe_media(const std::string& path);

// Whether a file has changed since it was examined, by its size and modification time.
bool changed_since(const std::string& path, const Exhibit& exhibit);

// A text in one line, truncated; nullopt if it is empty. Characters beyond ASCII are kept as they are.
std::optional<std::string> single_line(const std::string& text);

}  // namespace fpg::runtime
