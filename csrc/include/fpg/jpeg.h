// JPEG round trip: what baseline JPEG with 4:2:0 chroma does to an image, without the entropy coding that changes nothing.
#pragma once

#include "fpg/ops.h"
#include "fpg/ragged.h"

namespace fpg {

struct JpegInput {
  RaggedView<uint8_t> images;            // RGB, changed in place
  TensorView<const int32_t, 1> quality;  // [items], 1..100 as libjpeg scales its tables; 0 leaves the item as it is
};

// Room for the planes between the stages: item i has jpeg_scratch_bytes of its size at planes + offsets[i].
struct JpegScratch {
  uint8_t* planes = nullptr;
  const int64_t* offsets = nullptr;  // [items], in bytes, where the images live
};

// Bytes of scratch that an image needs.
inline int64_t jpeg_scratch_bytes(int32_t height, int32_t width) {
  const int64_t rows = (height + 15) / 16, columns = (width + 15) / 16;
  return rows * columns * 384;
}

// Within 2/255 of libjpeg-turbo's accurate integer DCT and smooth chroma upsampling, and the same bits on every device.
void jpeg_round_trip(const JpegInput& input, const JpegScratch& scratch, const Execution& execution = {});

}  // namespace fpg
