#include "common/cuda/launch_ragged.h"
#include "crop/crop.h"
#include "crop/math.h"

namespace fpg::cuda {
namespace {

// Neighbouring pixels of one part: the images, then the mask.
struct CropResize {
  RaggedLayout<const uint8_t> images[kMaxCropImages];
  float* out[kMaxCropImages];
  RaggedLayout<const float> masks;
  float* masks_out;
  const Crop* crops;
  int64_t parts;
  int64_t count;  // of images
  int32_t side;

  bool wide() const {
    bool all = is_wide(masks_out);
    for (const float* part : out) all = all && is_wide(part);
    return all;
  }

  // `index` = item * parts + part.
  template <int N>
  __device__ void lanes(int64_t index, int64_t plane, int64_t pixel) const {
    const auto item = static_cast<int64_t>(static_cast<uint32_t>(index) / static_cast<uint32_t>(parts));
    const int64_t part = index - item * parts;
    const Crop crop = crops[item];
    const CropAxis axis_x(crop.x0, crop.x1, images[0].width(item), side), axis_y(crop.y0, crop.y1, images[0].height(item), side);
    Lanes<float, N> result[3];
#pragma unroll
    for (int l = 0; l < N; ++l) {
      const auto at = static_cast<uint32_t>(pixel) + static_cast<uint32_t>(l), rows = at / static_cast<uint32_t>(side);
      const auto y = static_cast<int32_t>(rows), x = static_cast<int32_t>(at - rows * static_cast<uint32_t>(side));
      if (part == count) {
        result[0][l] = mask_at(item, float_tap(axis_y, y), float_tap(axis_x, x));
      } else {
        const Tap tap_x = axis_x(x), tap_y = axis_y(y);
        for (int c = 0; c < 3; ++c)
          result[c][l] = unit_level(sample_at(images[part].item(item) + c, images[part].width(item), tap_x, tap_y));
      }
    }
    if (part == count)
      store<N>(masks_out + item * plane + pixel, result[0]);
    else
      for (int c = 0; c < 3; ++c) store<N>(out[part] + (item * 3 + c) * plane + pixel, result[c]);
  }

  __device__ float mask_at(int64_t item, const FloatTap& y, const FloatTap& x) const {
    const float* top = masks.row(item, y.first, 1);
    const float* bottom = masks.row(item, y.second, 1);
    return clamp_unit(
        lerp(lerp(top[x.first], top[x.second], x.weight), lerp(bottom[x.first], bottom[x.second], x.weight), y.weight));
  }
};

}  // namespace

void crop_resize(const CropArguments& in, const Execution& execution) {
  const DeviceGuard guard(in.images[0].device.index);
  CropResize functor{};
  for (size_t i = 0; i < static_cast<size_t>(in.count); ++i) {
    functor.images[i] = layout(in.images[i]);
    functor.out[i] = in.out[i].data;
  }
  functor.masks = layout(in.masks);
  functor.masks_out = in.masks_out.data;
  functor.crops = in.crops;
  functor.count = in.count;
  functor.parts = in.count + (in.masks.items > 0 ? 1 : 0);
  functor.side = static_cast<int32_t>(in.out[0].shape[3]);
  launch_planes(functor, in.images[0].items * functor.parts, static_cast<int64_t>(functor.side) * functor.side,
                stream_of(execution), "crop_resize");
}

}  // namespace fpg::cuda
