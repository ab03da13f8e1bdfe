// Colours of more than 8 bits, and HDR, to 8-bit RGB: the twin of fpg/data/colour.py, which documents the conversion.
#pragma once

#include <array>
#include <optional>

extern "C" {
#include <libavutil/frame.h>
}

#include "image.h"

namespace fpg::runtime {

// Bits, and log2 of the horizontal and of the vertical subsampling of chroma, of a planar YUV frame; nullopt for other formats.
std::optional<std::array<int, 3>> planar(const AVFrame* frame);

// What a frame says of its colours. Numbers, not FFmpeg's enumerations: those hold whatever stood in the file, and it is
// undefined to read from them what is none of their values.
struct Colour {
  explicit Colour(const AVFrame* frame);

  int primaries, transfer, matrix, range, chroma_location;
};

// "PQ", "HLG", or nullptr if the transfer function is not an HDR one.
const char* hdr_name(const AVFrame* frame);

// Whether the primaries are those of BT.2020, which HDR has unless it states others.
bool is_wide(const AVFrame* frame);

// A planar frame for an SDR screen.
Image planar_to_rgb(const AVFrame* frame, const std::array<int, 3>& layout);

}  // namespace fpg::runtime
