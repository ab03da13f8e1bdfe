// JPEG round trip: the effect of baseline JPEG with 4:2:0 chroma on an image, without the lossless entropy coding.
#pragma once

#include <cstdint>

#include "common/execution.h"
#include "common/ragged.h"
#include "common/tensor_view.h"

namespace fpg {

// Bytes of scratch memory that an image needs, for its planes between the stages.
inline int64_t jpeg_scratch_bytes(int32_t height, int32_t width) {
  const int64_t rows = (height + 15) / 16, columns = (width + 15) / 16;
  return rows * columns * 384;
}

struct JpegArguments {
  RaggedView<uint8_t> images;              // RGB, changed in place
  TensorView<const int32_t, 1> quality;    // [items], 1..100 as libjpeg scales its tables; 0 leaves the item unchanged
  uint8_t* planes = nullptr;               // scratch memory: jpeg_scratch_bytes of item i at planes + plane_offsets[i]
  const int64_t* plane_offsets = nullptr;  // [items], in bytes, where the images live

  Device device() const { return images.device; }
  bool validate(const Execution& execution) const;
};

// Within 2/255 of libjpeg-turbo's accurate integer DCT and smooth chroma upsampling, and the same bits on every device.
void jpeg_round_trip(const JpegArguments& arguments, const Execution& execution = {});

namespace cuda {
void jpeg_round_trip(const JpegArguments& arguments, const Execution& execution);
}

}  // namespace fpg
