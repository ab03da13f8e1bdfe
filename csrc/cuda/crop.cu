#include "math/crop.h"

#include "backends_image.h"
#include "cuda/launch_ragged.h"

namespace fpg::cuda {
namespace {

// One pixel of one part: the images, then the mask.
struct CropResize {
  RaggedLayout<const uint8_t> images[kMaxCropImages];
  float* out[kMaxCropImages];
  RaggedLayout<const float> masks;
  float* masks_out;
  const int32_t* crops;
  int64_t parts;
  int64_t count;  // of images
  int32_t side;

  // `index` = item * parts + part.
  __device__ void operator()(int64_t index, int64_t plane, int64_t pixel, int64_t) const {
    const int64_t item = index / parts;
    const int64_t part = index % parts;
    const int32_t* crop = crops + 4 * item;
    const CropAxis axis_x(crop[2], crop[3], images[0].width(item), side), axis_y(crop[0], crop[1], images[0].height(item), side);
    const auto y = static_cast<int32_t>(pixel / side), x = static_cast<int32_t>(pixel % side);
    if (part == count) {
      const FloatTap tap_x = float_tap(axis_x, x), tap_y = float_tap(axis_y, y);
      const float* top = masks.row(item, tap_y.first, 1);
      const float* bottom = masks.row(item, tap_y.second, 1);
      masks_out[item * plane + pixel] =
          clamp_unit(lerp(lerp(top[tap_x.first], top[tap_x.second], tap_x.weight),
                          lerp(bottom[tap_x.first], bottom[tap_x.second], tap_x.weight), tap_y.weight));
      return;
    }
    const Tap tap_x = axis_x(x), tap_y = axis_y(y);
    float* target = out[part] + item * 3 * plane + pixel;
    for (int c = 0; c < 3; ++c)
      target[c * plane] = unit_level(sample_at(images[part].item(item) + c, images[part].width(item), tap_x, tap_y));
  }
};

}  // namespace

void crop_resize(const CropInput& in, const CropOutput& out, const Execution& execution) {
  const DeviceGuard guard(in.images[0].device.index);
  CropResize functor{};
  for (size_t i = 0; i < static_cast<size_t>(in.count); ++i) {
    functor.images[i] = layout(in.images[i]);
    functor.out[i] = out.images[i].data;
  }
  functor.masks = layout(in.masks);
  functor.masks_out = out.masks.data;
  functor.crops = in.crops;
  functor.count = in.count;
  functor.parts = in.count + (in.masks.items > 0 ? 1 : 0);
  functor.side = static_cast<int32_t>(out.images[0].shape[3]);
  launch_planes(functor, in.images[0].items * functor.parts, static_cast<int64_t>(functor.side) * functor.side,
                static_cast<cudaStream_t>(execution.stream), "crop_resize");
}

}  // namespace fpg::cuda
