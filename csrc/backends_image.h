// What dispatch/*.cpp of the image operations calls: each once per device type, arguments already validated.
#pragma once

#include "fpg/blend.h"
#include "fpg/crop.h"
#include "fpg/photometry.h"
#include "fpg/warp.h"

#define FPG_IMAGE_BACKEND                                                                                                     \
  void change_color(const RaggedView<const uint8_t>& images, const float* changes, uint8_t* out, const Execution& execution); \
  void resample(const RaggedView<const uint8_t>& images, const Window* windows, const RaggedView<uint8_t>& out,               \
                const Window* out_windows, const float* changes, const Execution& execution);                                 \
  void warp(const RaggedView<const uint8_t>& images, const Window* windows, const RaggedView<uint8_t>& out,                   \
            const Window* out_windows, const double* affine, const Execution& execution);                                     \
  void blend(const RaggedView<const uint8_t>& source, const RaggedView<const uint8_t>& background,                            \
             const RaggedView<const float>& masks, uint8_t* out, const Execution& execution);                                 \
  void reblend(const TensorView<const float, 4>& source, const TensorView<const float, 4>& background,                        \
               const TensorView<const float, 4>& mask, const TensorView<float, 4>& out, const Execution& execution);          \
  void reblend_backward(const TensorView<const float, 4>& gradient, const TensorView<const float, 4>& source,                 \
                        const TensorView<const float, 4>& background, const TensorView<const float, 4>& mask,                 \
                        const ReblendGradients& out, const Execution& execution);                                             \
  void magnitude_vote(const TensorView<const float, 4>& gradient, const TensorView<const float, 4>& source,                   \
                      const TensorView<const float, 4>& background, const TensorView<int64_t, 1>& votes,                      \
                      const Execution& execution);                                                                            \
  void magnitude_step(const MagnitudeStep& input, const TensorView<float, 4>& out, const Execution& execution);               \
  void crop_resize(const CropInput& input, const CropOutput& output, const Execution& execution);

namespace fpg::cpu {
FPG_IMAGE_BACKEND
}
namespace fpg::cuda {
FPG_IMAGE_BACKEND
}

#undef FPG_IMAGE_BACKEND
