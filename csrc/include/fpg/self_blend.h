// Whole self-blended pairs on the CPU (SBI, CVPR 2022): the operations of the other headers, item after item, so that what lies
// between them stays in the cache. On a GPU the operations run one after the other on the whole batch.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fpg/masks.h"
#include "fpg/ops.h"
#include "fpg/photometry.h"
#include "fpg/ragged.h"

namespace fpg {

// A part of a full image.
struct Region {
  int32_t y0, x0, height, width;
};

// What one pair needs beside its MaskItem, whose size and output window are those of `coded`.
struct SelfBlendItem {
  double affine[4];           // see fpg/warp.h
  int64_t pixels;             // where its window starts in the input, in bytes
  int32_t height, width;      // of the full image
  Region window;              // what the input holds of it
  Region warped;              // what the affine change reads
  Region coded;               // what is blended and compressed
  int32_t crop[4];            // (y0, y1, x0, x1) in `coded`, see fpg/crop.h
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

struct SelfBlendOutput {
  TensorView<float, 4> fake, real, source;  // [items, 3, S, S] in [0, 1]
  TensorView<float, 4> mask;                // [items, 1, S, S]
};

// Scratch memory: `slots` times self_blend_scratch_bytes, 64-byte aligned, at least min(threads, items) slots.
struct SelfBlendScratch {
  void* data = nullptr;
  int64_t slots = 0;
};

// Bytes of one slot for these items. Throws InvalidArgument where a region is empty or leaves what it should lie in.
size_t self_blend_scratch_bytes(const SelfBlendInput& input);

void self_blend(const SelfBlendInput& input, const SelfBlendOutput& output, const SelfBlendScratch& scratch,
                const Execution& execution = {});

}  // namespace fpg
