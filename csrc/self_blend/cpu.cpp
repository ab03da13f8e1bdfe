#include <algorithm>
#include <atomic>

#include "blend/blend.h"
#include "common/cpu/parallel.h"
#include "common/dispatch.h"
#include "crop/crop.h"
#include "jpeg/jpeg.h"
#include "self_blend/layout.h"
#include "self_blend/self_blend.h"
#include "warp/warp.h"

namespace fpg {
namespace cpu {
namespace {

// An image of its own size at an address, as the operations take it.
template <class T>
class Image {
 public:
  Image(T* data, const Crop& crop, int32_t full_height, int32_t full_width)
      : data_(data), size_{crop.height(), crop.width()}, window_{crop.y0, crop.x0, full_height, full_width} {}

  template <class U = T>
  RaggedView<U> view(int channels = 3) const {
    return {data_, &zero_, size_, 1, channels, size_[0], size_[1], {}};
  }
  const Window* window() const { return &window_; }
  int64_t pixels() const { return int64_t{size_[0]} * size_[1]; }
  T* data() const { return data_; }

 private:
  T* data_;
  int64_t zero_ = 0;
  int32_t size_[2];
  Window window_;
};

class Pair {
 public:
  Pair(const SelfBlendArguments& arguments, const SelfBlendLayout& layout, int64_t index, unsigned char* slot)
      : in_(arguments.in), out_(arguments), item_(in_.items[index]), index_(index), slot_(slot), layout_(layout) {}

  void make() {
    const Image<const uint8_t> window = at(in_.windows + item_.pixels, item_.window);
    const Image<uint8_t> fake = coded(0), real = coded(1), source = coded(2);
    const Image<float> mask = at(reinterpret_cast<float*>(slot_ + layout_.mask), item_.coded);

    const Image<uint8_t> colored = at(slot_ + layout_.colored, item_.window);
    change_color({window.view(), item_.color, colored.data()});
    if (item_.recolors_source) {
      const Image<uint8_t> changed = at(slot_ + layout_.changed, item_.warped);
      recast(colored, changed, item_.resample);
      move(changed, source);
      const float nothing[kResampleFields] = {};
      recast(window, real, nothing);
    } else {
      recast(colored, real, item_.resample);
      move(window, source);
    }

    MaskChain chain = in_.masks;
    chain.items += index_;
    chain.count = chain.scratch_slots = 1;
    chain.scratch = slot_ + layout_.masks;
    soft_masks({chain, mask.view(1)});
    blend({source.view<const uint8_t>(), real.view<const uint8_t>(), mask.view<const float>(1), fake.data(), out_.nearest});
    change_all(fake);
    crop(fake, real, source, mask);
  }

 private:
  template <class T>
  Image<T> at(T* data, const Crop& crop) const {
    return {data, crop, item_.height, item_.width};
  }

  Image<uint8_t> coded(int64_t which) const {
    const int64_t bytes = int64_t{3} * item_.coded.height() * item_.coded.width();
    return at(slot_ + layout_.images + which * bytes, item_.coded);
  }

  template <class T>
  static void recast(const Image<T>& from, const Image<uint8_t>& to, const float* fields) {
    resample({from.template view<const uint8_t>(), from.window(), to.view(), to.window(), fields});
  }

  template <class T>
  void move(const Image<T>& from, const Image<uint8_t>& to) const {
    warp({from.template view<const uint8_t>(), from.window(), to.view(), to.window(), item_.affine});
  }

  // The photometric change of forgery, background and source, which are adjacent in memory, in place.
  void change_all(const Image<uint8_t>& first) const {
    const int64_t bytes = 3 * first.pixels();
    const int64_t offsets[3] = {0, bytes, 2 * bytes}, no_offsets[3] = {};
    const int32_t h = item_.coded.height(), w = item_.coded.width();
    const int32_t sizes[6] = {h, w, h, w, h, w}, quality[3] = {item_.quality, item_.quality, item_.quality};
    float changes[3 * kColorFields];
    for (int i = 0; i < 3; ++i) std::copy_n(item_.shared, kColorFields, changes + i * kColorFields);
    const RaggedView<uint8_t> images{first.data(), offsets, sizes, 3, 3, h, w, {}};
    change_color({{images.data, offsets, sizes, 3, 3, h, w, {}}, changes, images.data});
    if (item_.quality > 0) jpeg_round_trip({images, {quality, {3}, {}}, slot_ + layout_.planes, no_offsets});
  }

  void crop(const Image<uint8_t>& fake, const Image<uint8_t>& real, const Image<uint8_t>& source,
            const Image<float>& mask) const {
    CropArguments arguments;
    arguments.images = {fake.view<const uint8_t>(), real.view<const uint8_t>(), source.view<const uint8_t>()};
    arguments.count = 3;
    arguments.masks = mask.view<const float>(1);
    arguments.crops = &item_.crop;
    arguments.out = {one(out_.fake), one(out_.real), one(out_.source)};
    arguments.masks_out = one(out_.mask);
    crop_resize(arguments);
  }

  // The result of this item.
  TensorView<float, 4> one(const TensorView<float, 4>& batch) const {
    const auto& shape = batch.shape;
    return {batch.data + index_ * shape[1] * shape[2] * shape[3], {1, shape[1], shape[2], shape[3]}, {}};
  }

  const SelfBlendInput& in_;
  const SelfBlendArguments& out_;
  const SelfBlendItem& item_;
  const int64_t index_;
  unsigned char* slot_;
  const SelfBlendLayout& layout_;
};

void run(const SelfBlendArguments& arguments, const Execution& execution) {
  const SelfBlendLayout layout(arguments.in);
  const int64_t count = arguments.in.masks.count;
  std::atomic<int64_t> next{0};
  parallel_for(std::min<int64_t>(count, execution.threads), execution.threads, [&](int64_t slot) {
    auto* memory = static_cast<unsigned char*>(arguments.scratch) + static_cast<size_t>(slot) * layout.bytes;
    for (int64_t index = next++; index < count; index = next++) Pair(arguments, layout, index, memory).make();
  });
}

}  // namespace
}  // namespace cpu

namespace {

bool inside(const Crop& crop, const Crop& other) {
  return !crop.empty() && crop.y0 >= other.y0 && crop.x0 >= other.x0 && crop.y1 <= other.y1 && crop.x1 <= other.x1;
}

void check_items(const SelfBlendInput& in) {
  check_count("items", in.masks.count);
  if (in.masks.count == 0) return;
  check_pointer("items", in.items);
  check_pointer("masks", in.masks.items);
  check_pointer("windows", in.windows);
  for (int64_t i = 0; i < in.masks.count; ++i) {
    const SelfBlendItem& item = in.items[i];
    const bool fits = inside(item.window, {0, item.height, 0, item.width}) && inside(item.warped, item.window) &&
                      inside(item.coded, item.window) && item.pixels >= 0 &&
                      item.pixels + int64_t{3} * item.window.height() * item.window.width() <= in.bytes && item.quality >= 0 &&
                      item.quality <= 100;
    expect(fits, "item " + std::to_string(i) + ": expected regions inside its window, and that inside the image");
  }
}

}  // namespace

size_t self_blend_scratch_bytes(const SelfBlendInput& in) {
  check_items(in);
  return cpu::SelfBlendLayout(in).bytes;
}

bool SelfBlendArguments::validate(const Execution& execution) const {
  check_items(in);
  const int64_t side = fake.shape[3], count = in.masks.count;
  expect(side >= 1, "fake: expected [B, 3, S, S] with S >= 1, got " + text(fake.shape));
  check_tensor("fake", fake, {count, 3, side, side}, Device{});
  check_tensor("real", real, {count, 3, side, side}, Device{});
  check_tensor("source", source, {count, 3, side, side}, Device{});
  check_tensor("mask", mask, {count, 1, side, side}, Device{});
  if (count == 0) return false;
  check_pointer("scratch", scratch);
  const int64_t least = std::min<int64_t>(execution.threads, count);
  expect(slots >= least, "scratch: expected " + std::to_string(least) + " slots, got " + std::to_string(slots));
  return true;
}

// CPU only: on a GPU, the operations run one after another on the whole batch.
void self_blend(const SelfBlendArguments& arguments, const Execution& execution) {
  dispatch(arguments, execution, cpu::run, nullptr);
}

}  // namespace fpg
