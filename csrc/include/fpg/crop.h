// The detection crop: what the detector sees of ragged images and their mask.
#pragma once

#include <array>
#include <cstdint>

#include "fpg/ops.h"
#include "fpg/ragged.h"

namespace fpg {

constexpr int kMaxCropImages = 4;

// Cuts item i's rectangle out of up to four uint8 RGB batches and a float mask batch, all of one size per item, and resizes it to
// S x S: images with OpenCV's 8-bit bilinear arithmetic, rounded to uint8, divided by 255, channel planes; the mask bilinear in
// float, clipped to [0, 1].
struct CropInput {
  std::array<RaggedView<const uint8_t>, kMaxCropImages> images{};
  int count = 0;                   // of images in use
  RaggedView<const float> masks;   // no mask where data is null
  const int32_t* crops = nullptr;  // [items, 4] = (y0, y1, x0, x1), half open; cut off at the item, at least one pixel
};

struct CropOutput {
  std::array<TensorView<float, 4>, kMaxCropImages> images{};  // [items, 3, S, S]
  TensorView<float, 4> masks;                                 // [items, 1, S, S]
};

void crop_resize(const CropInput& input, const CropOutput& output, const Execution& execution = {});

}  // namespace fpg
