// What dispatch_masks.cpp calls: the mask chain once per device type, arguments already validated.
#pragma once

#include "fpg/masks.h"

namespace fpg::cpu {
void face_masks(const MaskChain& chain, const RaggedView<uint8_t>& out, const Execution& execution);
void warp_masks(const MaskChain& chain, const RaggedView<const uint8_t>& in, const RaggedView<uint8_t>& out,
                const Execution& execution);
void feather_masks(const MaskChain& chain, const RaggedView<const uint8_t>& in, const RaggedView<float>& out,
                   const Execution& execution);
void soft_masks(const MaskChain& chain, const RaggedView<float>& out, const Execution& execution);
}  // namespace fpg::cpu

namespace fpg::cuda {
void face_masks(const MaskChain& chain, const RaggedView<uint8_t>& out, const Execution& execution);
void warp_masks(const MaskChain& chain, const RaggedView<const uint8_t>& in, const RaggedView<uint8_t>& out,
                const Execution& execution);
void feather_masks(const MaskChain& chain, const RaggedView<const uint8_t>& in, const RaggedView<float>& out,
                   const Execution& execution);
void soft_masks(const MaskChain& chain, const RaggedView<float>& out, const Execution& execution);
}  // namespace fpg::cuda
