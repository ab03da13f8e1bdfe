// Whole self-blended pairs on the CPU (SBI, CVPR 2022): the operations of the other headers, one item after another, so that
// intermediate results stay in the cache. On a GPU the operations run one after another on the whole batch.
#pragma once

#include <cstddef>
#include <cstdint>

#include "color/color.h"
#include "common/execution.h"
#include "common/rectangles.h"
#include "common/tensor_view.h"
#include "masks/masks.h"
#include "resample/resample.h"

namespace fpg {

// What one pair needs besides its MaskItem, whose size and output window are those of `coded`.
struct SelfBlendItem {
  double affine[4];           // see warp/warp.h
  int64_t pixels;             // where its window starts in the input, in bytes
  int32_t height, width;      // of the full image
  Crop window;                // what the input holds of it
  Crop warped;                // what the affine change reads
  Crop coded;                 // what is blended and compressed
  Crop crop;                  // in `coded`, see crop/crop.h
  int32_t recolors_source;    // 1: color and resample change the source, 0: the background
  int32_t quality;            // of JPEG, 0 for none
  float color[kColorFields];  // of the source or the background
  float resample[kResampleFields];
  float shared[kColorFields];  // of forgery, background and source
  int32_t reserved;
};

struct SelfBlendInput {
  const uint8_t* windows = nullptr;  // RGB
  int64_t bytes = 0;                 // of `windows`
  const SelfBlendItem* items = nullptr;
  MaskChain masks;  // as many; its scratch memory is not used
};

// Bytes of scratch memory of one slot for these items. Throws InvalidArgument if a region is empty or not inside the one that it
// belongs to.
size_t self_blend_scratch_bytes(const SelfBlendInput& input);

struct SelfBlendArguments {
  SelfBlendInput in;
  TensorView<float, 4> fake, real, source;  // [items, 3, S, S] in [0, 1]
  TensorView<float, 4> mask;                // [items, 1, S, S]
  void* scratch = nullptr;                  // 64-byte aligned: `slots` times self_blend_scratch_bytes
  int64_t slots = 0;                        // at least min(threads, items)
  bool nearest = false;                     // rounding of the blend, see blend/blend.h

  Device device() const { return {}; }
  bool validate(const Execution& execution) const;
};

void self_blend(const SelfBlendArguments& arguments, const Execution& execution = {});

}  // namespace fpg
