// The detection crop: what the detector sees of ragged images and their mask.
#pragma once

#include <array>
#include <cstdint>

#include "common/execution.h"
#include "common/ragged.h"
#include "common/rectangles.h"
#include "common/tensor_view.h"

namespace fpg {

constexpr int kMaxCropImages = 4;

// Cuts item i's rectangle out of up to four uint8 RGB batches and a float mask batch, all of one size per item, and resizes it to
// S x S: images with OpenCV's 8-bit bilinear arithmetic, rounded to uint8, divided by 255, channel planes; the mask bilinear in
// float, clipped to [0, 1].
struct CropArguments {
  std::array<RaggedView<const uint8_t>, kMaxCropImages> images{};
  int count = 0;                                           // of images in use
  RaggedView<const float> masks;                           // optional: may have no items
  const Crop* crops = nullptr;                             // [items]; clipped to the item, at least one pixel
  std::array<TensorView<float, 4>, kMaxCropImages> out{};  // [items, 3, S, S]
  TensorView<float, 4> masks_out;                          // [items, 1, S, S]

  Device device() const { return images[0].device; }
  bool validate(const Execution& execution) const;
};

void crop_resize(const CropArguments& arguments, const Execution& execution = {});

namespace cuda {
void crop_resize(const CropArguments& arguments, const Execution& execution);
}

}  // namespace fpg
