#include <algorithm>

#include "check_ragged.h"
#include "cpu/self_blend.h"
#include "fpg/self_blend.h"

namespace fpg {
namespace {

bool inside(const Region& region, int64_t y0, int64_t x0, int64_t height, int64_t width) {
  return region.height >= 1 && region.width >= 1 && region.y0 >= y0 && region.x0 >= x0 &&
         int64_t{region.y0} + region.height <= y0 + height && int64_t{region.x0} + region.width <= x0 + width;
}

bool inside(const Region& region, const Region& other) { return inside(region, other.y0, other.x0, other.height, other.width); }

void check_items(const SelfBlendInput& in) {
  if (in.masks.count < 0) throw InvalidArgument("items: expected a count of at least 0, got " + std::to_string(in.masks.count));
  if (in.masks.count == 0) return;
  check_pointer("items", in.items);
  check_pointer("masks", in.masks.items);
  check_pointer("windows", in.windows);
  for (int64_t i = 0; i < in.masks.count; ++i) {
    const SelfBlendItem& item = in.items[i];
    const int64_t bytes = int64_t{3} * item.window.height * item.window.width;
    if (!inside(item.window, 0, 0, item.height, item.width) || !inside(item.warped, item.window) ||
        !inside(item.coded, item.window) || item.pixels < 0 || item.pixels + bytes > in.bytes || item.quality < 0 ||
        item.quality > 100)
      throw InvalidArgument("item " + std::to_string(i) + ": expected regions inside its window, and that inside the image");
  }
}

}  // namespace

size_t self_blend_scratch_bytes(const SelfBlendInput& in) {
  check_items(in);
  return cpu::SelfBlendLayout(in).bytes;
}

void self_blend(const SelfBlendInput& in, const SelfBlendOutput& out, const SelfBlendScratch& scratch,
                const Execution& execution) {
  check_items(in);
  check_threads(execution);
  const int64_t side = out.fake.shape[3], count = in.masks.count;
  if (side < 1) throw InvalidArgument("out: expected [B, 3, S, S] with S >= 1, got " + text(out.fake.shape));
  for (const auto* image : {&out.fake, &out.real, &out.source}) check_tensor("out", *image, {count, 3, side, side}, Device{});
  check_tensor("out", out.mask, {count, 1, side, side}, Device{});
  if (count == 0) return;
  check_pointer("scratch", scratch.data);
  const int64_t slots = std::min<int64_t>(execution.threads, count);
  if (scratch.slots < slots)
    throw InvalidArgument("scratch: expected " + std::to_string(slots) + " slots, got " + std::to_string(scratch.slots));
  cpu::self_blend(in, out, scratch, execution);
}

}  // namespace fpg
