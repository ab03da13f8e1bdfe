// Colours of more than 8 bits, and of HDR, as 8-bit RGB: the twin of fpg/data/colour.py, which says what is done.
#pragma once

#include <array>
#include <optional>

extern "C" {
#include <libavutil/frame.h>
}

#include "image.h"

namespace fpg::runtime {

// Bits, and log2 of the horizontal and of the vertical subsampling of chroma, of a planar YUV frame; nothing for another format.
std::optional<std::array<int, 3>> planar(const AVFrame* frame);

// "PQ", "HLG", or nullptr for a transfer function that is not HDR's.
const char* hdr_name(const AVFrame* frame);

// Whether the primaries are BT.2020's; those of HDR are unless stated.
bool is_wide(const AVFrame* frame);

// A planar frame for an SDR screen.
Image planar_to_rgb(const AVFrame* frame, const std::array<int, 3>& layout);

}  // namespace fpg::runtime
