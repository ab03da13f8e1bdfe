// Stands in for cuda/*.cu in a build without CUDA.
#include "backends.h"
#include "backends_image.h"
#include "backends_jpeg.h"
#include "backends_masks.h"
#include "fpg/error.h"

namespace fpg {
namespace {
constexpr const char* kReason =
    "fpg was built without CUDA (reinstall it with nvcc on PATH, or with -DFPG_CUDA=ON to see why it is not found)";
}

CudaStatus cuda_status() { return {0, kReason}; }

namespace cuda {
void perception_statistics(const PerceptionInput&, const PerceptionOutput&, const Execution&) { throw DeviceError(kReason); }
void jpeg_round_trip(const JpegInput&, const JpegScratch&, const Execution&) { throw DeviceError(kReason); }

using Images = RaggedView<const uint8_t>;
using Floats = TensorView<const float, 4>;
using FloatsOut = TensorView<float, 4>;
void change_color(const Images&, const float*, uint8_t*, const Execution&) { throw DeviceError(kReason); }
void resample(const Images&, const Window*, const RaggedView<uint8_t>&, const Window*, const float*, const Execution&) {
  throw DeviceError(kReason);
}
void warp(const Images&, const Window*, const RaggedView<uint8_t>&, const Window*, const double*, const Execution&) {
  throw DeviceError(kReason);
}
void blend(const Images&, const Images&, const RaggedView<const float>&, uint8_t*, const Execution&) {
  throw DeviceError(kReason);
}
void reblend(const Floats&, const Floats&, const Floats&, const FloatsOut&, const Execution&) { throw DeviceError(kReason); }
void reblend_backward(const Floats&, const Floats&, const Floats&, const Floats&, const ReblendGradients&, const Execution&) {
  throw DeviceError(kReason);
}
void magnitude_vote(const Floats&, const Floats&, const Floats&, const TensorView<int64_t, 1>&, const Execution&) {
  throw DeviceError(kReason);
}
void magnitude_step(const MagnitudeStep&, const FloatsOut&, const Execution&) { throw DeviceError(kReason); }
void crop_resize(const CropInput&, const CropOutput&, const Execution&) { throw DeviceError(kReason); }
void face_masks(const MaskChain&, const RaggedView<uint8_t>&, const Execution&) { throw DeviceError(kReason); }
void warp_masks(const MaskChain&, const RaggedView<const uint8_t>&, const RaggedView<uint8_t>&, const Execution&) {
  throw DeviceError(kReason);
}
void feather_masks(const MaskChain&, const RaggedView<const uint8_t>&, const RaggedView<float>&, const Execution&) {
  throw DeviceError(kReason);
}
void soft_masks(const MaskChain&, const RaggedView<float>&, const Execution&) { throw DeviceError(kReason); }
}  // namespace cuda

}  // namespace fpg
