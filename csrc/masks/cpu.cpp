// The mask chain on the CPU: one item after another, in the scratch memory of its thread, on boxes around the non-zero pixels.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "common/cpu/hot.h"
#include "common/cpu/parallel.h"
#include "common/dispatch.h"
#include "masks/elastic.h"
#include "masks/feather.h"
#include "masks/hull.h"

namespace fpg {
namespace cpu {
namespace {

// How the last pixels of a row, fewer than N, are computed: by N lanes that overlap the previous ones, so that some pixels are
// computed twice (allowed unless a stage works in place); or by single lanes.
enum class RowEnd { kOverlapping, kSingle };

// Runs a stage over its range, N lanes at a time.
template <int N, RowEnd end = RowEnd::kOverlapping, class Stage>
inline void run_rows(const Stage& stage, int64_t slot) {
  const Stage local = stage;
  const Crop range = local.range(slot);
  for (int32_t y = range.y0; y < range.y1; ++y) {
    int32_t x = range.x0;
    for (; x + N <= range.x1; x += N) local.template lanes<N>(slot, y, x);
    if constexpr (N > 1 && end == RowEnd::kOverlapping) {
      if (x < range.x1 && range.x1 - range.x0 >= N) {
        local.template lanes<N>(slot, y, range.x1 - N);
        x = range.x1;
      }
    }
    for (; x < range.x1; ++x) local.template lanes<1>(slot, y, x);
  }
}

FPG_HOT_FMA void run(const MaskZeros& stage, int64_t slot) { run_rows<8>(stage, slot); }
FPG_HOT_FMA void run(const HullCorners& stage, int64_t slot) { run_rows<1>(stage, slot); }
FPG_HOT_FMA void run(const HullSpans& stage, int64_t slot) { run_rows<1>(stage, slot); }
FPG_HOT_FMA void run(const HullRaster& stage, int64_t slot) { run_rows<32>(stage, slot); }
FPG_HOT_FMA void run(const WarpTables& stage, int64_t slot) { run_rows<1>(stage, slot); }
FPG_HOT_FMA void run(const ElasticNoise& stage, int64_t slot) { run_rows<32>(stage, slot); }
FPG_HOT_FMA void run(const ElasticRows& stage, int64_t slot) { run_rows<32>(stage, slot); }
FPG_HOT_FMA void run(const ElasticBorder& stage, int64_t slot) { run_rows<1>(stage, slot); }
FPG_HOT_FMA void run(const ElasticColumns& stage, int64_t slot) { run_rows<32>(stage, slot); }
FPG_HOT_FMA void run(const WarpLookup& stage, int64_t slot) {
  run_rows<32, RowEnd::kSingle>(stage, slot);  // requires even columns
}
FPG_HOT_FMA void run(const MaskErode& stage, int64_t slot) { run_rows<32>(stage, slot); }
FPG_HOT_FMA void run(const FeatherTables& stage, int64_t slot) { run_rows<1>(stage, slot); }
FPG_HOT_FMA void run(const FeatherDown& stage, int64_t slot) { run_rows<16>(stage, slot); }
FPG_HOT_FMA void run(const FeatherColumns& stage, int64_t slot) { run_rows<32>(stage, slot); }
FPG_HOT_FMA void run(const FeatherRows& stage, int64_t slot) { run_rows<32>(stage, slot); }
FPG_HOT_FMA void run(const FeatherKeep& stage, int64_t slot) { run_rows<32>(stage, slot); }
FPG_HOT_FMA void run(const FeatherScale& stage, int64_t slot) { run_rows<8, RowEnd::kSingle>(stage, slot); }
FPG_HOT_FMA void run(const FeatherUpColumns& stage, int64_t slot) { run_rows<16>(stage, slot); }
FPG_HOT_FMA void run(const FeatherUpRows& stage, int64_t slot) { run_rows<32>(stage, slot); }

FPG_HOT_FMA uint32_t largest_of(const FeatherLargest& stage, int64_t slot) {
  const FeatherLargest local = stage;
  const Crop range = local.range(slot);
  uint32_t wide[8] = {}, narrow[1] = {};
  for (int32_t y = range.y0; y < range.y1; ++y) {
    int32_t x = range.x0;
    for (; x + 8 <= range.x1; x += 8) local.lanes<8>(slot, y, x, wide);
    for (; x < range.x1; ++x) local.lanes<1>(slot, y, x, narrow);
  }
  return std::max(narrow[0], *std::max_element(wide, wide + 8));
}

FPG_HOT_FMA float largest_magnitude(const float* row, int32_t count) {
  float wide[8] = {};
  int32_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (int l = 0; l < 8; ++l) wide[l] = std::max(wide[l], std::fabs(row[i + l]));
  for (; i < count; ++i) wide[0] = std::max(wide[0], std::fabs(row[i]));
  return *std::max_element(wide, wide + 8);
}

constexpr int32_t kZeros = 2;  // pixels of zeros around a mask, for the change of size

Crop intersect(const Crop& a, const Crop& b) {
  return {std::max(a.y0, b.y0), std::min(a.y1, b.y1), std::max(a.x0, b.x0), std::min(a.x1, b.x1)};
}

Crop grow(const Crop& box, int32_t by, const Crop& within) {
  return intersect({box.y0 - by, box.y1 + by, box.x0 - by, box.x1 + by}, within);
}

// The smallest box around the elements of a row-major image that `is` accepts; empty if there is none.
template <class Row, class Is>
Crop bounds(const Crop& range, const Row& row, const Is& is) {
  Crop box{range.y1, range.y0, range.x1, range.x0};
  for (int32_t y = range.y0; y < range.y1; ++y) {
    const auto* values = row(y);
    int32_t first = range.x0;
    while (first < range.x1 && !is(values[first])) ++first;
    if (first == range.x1) continue;
    int32_t last = range.x1 - 1;
    while (!is(values[last])) --last;
    box = {std::min(box.y0, y), y + 1, std::min(box.x0, first), std::max(box.x1, last + 1)};
  }
  return box;
}

// Those of `count` samples, resized from `from` samples to `to`, whose taps fall into [low, high).
void touched(int32_t count, int32_t offset, int32_t from, int32_t to, int32_t low, int32_t high, int32_t* first, int32_t* last) {
  const auto touches = [&](int32_t i) {
    const MaskTap tap(i + offset, from, to);
    return tap.index < high && std::min(tap.index + 1, from - 1) >= low;
  };
  *first = 0;
  *last = count;
  while (*first < *last && !touches(*first)) ++*first;
  while (*last > *first && !touches(*last - 1)) --*last;
}

class Chain {
 public:
  Chain(const MaskWork& work, int64_t slot, int64_t item)
      : work_(work), slot_(slot), item_(work.items[item]), state_(work.state(slot)) {
    MaskBegin{work}(slot, item);
    image_ = {0, item_.height, 0, item_.width};
  }

  // The hulls' spans; false if no pixel of the image belongs to one.
  bool hulls() {
    run(HullCorners{work_}, slot_);
    const int32_t* corners = work_.at<const int32_t>(slot_, work_.layout.corners);
    Crop box{INT32_MAX, INT32_MIN, INT32_MAX, INT32_MIN};
    for (int32_t hull = 0; hull < state_.hulls; ++hull) {
      for (int32_t i = 0; i < state_.corner_count[hull]; ++i) {
        const int32_t x = corners[(hull * kHullCorners + i) * 2], y = corners[(hull * kHullCorners + i) * 2 + 1];
        box = {std::min(box.y0, y), std::max(box.y1, y + 1), std::min(box.x0, x), std::max(box.x1, x + 1)};
      }
    }
    state_.raster = intersect(box, image_);
    if (state_.raster.empty()) return false;
    run(HullSpans{work_}, slot_);
    return true;
  }

  void raster() { run(HullRaster{work_}, slot_); }

  // From the hard mask in scratch memory to the warped one; false if it lies outside.
  bool warp() {
    const Crop moved = forward(state_.raster);
    // The field moves no pixel farther than its amplitude; how far it really does is known once it is computed. Both boxes have
    // zeros around them.
    state_.hard = even(grow(moved, static_cast<int32_t>(std::ceil(work_.elastic.amplitude)) + 1 + kZeros, image_));
    if (state_.hard.empty()) return false;
    state_.field = around(state_.hard);
    run(WarpTables{work_}, slot_);
    run(ElasticNoise{work_}, slot_);
    run(ElasticRows{work_}, slot_);
    run(ElasticBorder{work_}, slot_);
    run(ElasticColumns{work_}, slot_);
    core_ = grow(moved, static_cast<int32_t>(std::ceil(farthest())) + 1, image_);
    if (core_.empty()) return false;
    state_.hard = even(grow(core_, kZeros, image_));
    run(WarpLookup{work_}, slot_);
    return true;
  }

  // Erodes the input if requested; false if the input is zero.
  bool erode(bool* from_input) {
    core_ = nonzero_input();
    if (core_.empty()) return false;
    *from_input = item_.erode_up == 0 && item_.erode_down == 0 && item_.erode_left == 0 && item_.erode_right == 0;
    if (*from_input) return true;
    state_.hard = grow(core_, kZeros, image_);
    run(MaskErode{work_, true}, slot_);
    run(MaskErode{work_, false}, slot_);
    return true;
  }

  void feather(bool from_input) {
    run(MaskZeros{work_}, slot_);
    run(FeatherTables{work_}, slot_);
    touched(item_.small_height, 0, item_.height, item_.small_height, core_.y0, core_.y1, &state_.small.y0, &state_.small.y1);
    touched(item_.small_width, 0, item_.width, item_.small_width, core_.x0, core_.x1, &state_.small.x0, &state_.small.x1);
    if (state_.small.empty()) return clear();
    state_.blurred = near_border(state_.small, item_.radius1);
    run(FeatherDown{work_, from_input}, slot_);
    run(FeatherColumns{work_, 0}, slot_);
    run(FeatherRows{work_, 0}, slot_);
    state_.largest[0] = largest_of({work_, 0}, slot_);
    const float largest = float_of_bits(state_.largest[0]);
    if (!(largest > 0.0f)) return clear();
    state_.kept = bounds(
        state_.blurred, [&](int32_t y) { return work_.small_row(slot_, work_.layout.a, y); },
        [=](float value) { return value >= largest; });
    state_.soft = grow(state_.kept, item_.radius2, {0, item_.small_height, 0, item_.small_width});
    run(FeatherKeep{work_}, slot_);
    run(FeatherColumns{work_, 1}, slot_);
    run(FeatherRows{work_, 1}, slot_);
    state_.largest[1] = largest_of({work_, 1}, slot_);
    run(FeatherScale{work_}, slot_);
    touched(state_.out_height, item_.y0, item_.small_height, item_.height, state_.soft.y0, state_.soft.y1, &state_.out.y0,
            &state_.out.y1);
    touched(state_.out_width, item_.x0, item_.small_width, item_.width, state_.soft.x0, state_.soft.x1, &state_.out.x0,
            &state_.out.x1);
    clear_around();
    if (state_.out.empty()) return;
    run(FeatherUpColumns{work_}, slot_);
    run(FeatherUpRows{work_}, slot_);
  }

  void clear() {
    state_.out = {0, 0, 0, 0};
    clear_around();
  }

 private:
  // The image of a box under the affine change, with a margin of one pixel for rounding.
  Crop forward(const Crop& box) const {
    const auto move = [](double x, int32_t size, double scale, double shift) {
      const double center = size / 2.0 - 0.5;
      return std::min(std::max(center + scale * (x - center) + shift, -1e6), 1e6);
    };
    const auto low = [](double x) { return static_cast<int32_t>(std::floor(x)) - 1; };
    const auto high = [](double x) { return static_cast<int32_t>(std::ceil(x)) + 2; };
    return {low(move(box.y0, item_.height, item_.scale_y, item_.shift_y)),
            high(move(box.y1 - 1, item_.height, item_.scale_y, item_.shift_y)),
            low(move(box.x0, item_.width, item_.scale_x, item_.shift_x)),
            high(move(box.x1 - 1, item_.width, item_.scale_x, item_.shift_x))};
  }

  // Where the largest value of a blur of `box` can lie: in the box, but near a border, which mirrors it, also between box and
  // border.
  Crop near_border(const Crop& box, int32_t radius) const {
    return {box.y0 <= radius ? 0 : box.y0, box.y1 + radius >= item_.small_height ? item_.small_height : box.y1,
            box.x0 <= radius ? 0 : box.x0, box.x1 + radius >= item_.small_width ? item_.small_width : box.x1};
  }

  static Crop even(const Crop& box) { return {box.y0, box.y1, box.x0 / 2 * 2, box.x1}; }

  // Grid points that the pixels of a box are interpolated from.
  Crop around(const Crop& box) const {
    return {std::max(0, (box.y0 - 1) / 2), std::min((item_.height + 1) / 2, box.y1 / 2 + 1), box.x0 / 2 - 1, box.x1 / 2 + 1};
  }

  float farthest() const {
    float far = 0;
    for (int plane = 0; plane < 2; ++plane)
      for (int32_t y = state_.field.y0; y < state_.field.y1; ++y)
        far = std::max(far, largest_magnitude(work_.grid_row(slot_, work_.layout.a, plane, y) + state_.field.x0,
                                              state_.field.x1 - state_.field.x0));
    return far;
  }

  Crop nonzero_input() const {
    return bounds(image_, [&](int32_t y) { return work_.input(slot_, y); }, [](uint8_t value) { return value != 0; });
  }

  float* out_row(int32_t y) const { return work_.out.data + work_.out.offsets[state_.item] + int64_t{y} * state_.out_width; }

  void clear_around() {
    const Crop& box = state_.out;
    for (int32_t y = 0; y < state_.out_height; ++y) {
      float* row = out_row(y);
      if (!box.has_row(y) || box.empty()) {
        std::fill(row, row + state_.out_width, 0.0f);
      } else {
        std::fill(row, row + box.x0, 0.0f);
        std::fill(row + box.x1, row + state_.out_width, 0.0f);
      }
    }
  }

  const MaskWork& work_;
  const int64_t slot_;
  const MaskItem& item_;
  MaskState& state_;
  Crop image_{};
  Crop core_{};  // outside of it the hard mask is zero
};

MaskWork work_of(const MaskChain& chain, const RaggedView<const uint8_t>& in, const RaggedView<float>& out) {
  return {chain.items, static_cast<unsigned char*>(chain.scratch), MaskLayout(chain.limits, chain.elastic), chain.elastic, in,
          out};
}

// Calls body(slot, item) for every item, each slot in one thread.
template <class Body>
void for_items(int64_t count, const Execution& execution, const Body& body) {
  std::atomic<int64_t> next{0};
  parallel_for(std::min<int64_t>(count, execution.threads), execution.threads, [&](int64_t slot) {
    for (int64_t item = next++; item < count; item = next++) body(slot, item);
  });
}

void run_feather_masks(const FeatherMasksArguments& arguments, const Execution& execution) {
  const MaskWork work = work_of(arguments.chain, arguments.masks, arguments.out);
  for_items(arguments.chain.count, execution, [&](int64_t slot, int64_t item) {
    Chain steps(work, slot, item);
    bool from_input = true;
    if (steps.erode(&from_input))
      steps.feather(from_input);
    else
      steps.clear();
  });
}

void run_soft_masks(const SoftMasksArguments& arguments, const Execution& execution) {
  const MaskWork work = work_of(arguments.chain, {}, arguments.out);
  for_items(arguments.chain.count, execution, [&](int64_t slot, int64_t item) {
    Chain steps(work, slot, item);
    if (!steps.hulls()) return steps.clear();
    steps.raster();
    if (steps.warp())
      steps.feather(false);
    else
      steps.clear();
  });
}

}  // namespace
}  // namespace cpu

namespace {

constexpr int32_t kLargestSide = 32767;

void check_chain(const MaskChain& chain, const Execution& execution) {
  const MaskLimits& l = chain.limits;
  const auto within = [](int32_t height, int32_t width, int32_t least) {
    return height >= least && width >= least && height <= kLargestSide && width <= kLargestSide;
  };
  check_pointer("items", chain.items);
  check_pointer("scratch", chain.scratch);
  expect(within(l.height, l.width, 1), "limits: expected images of 1 to 32767 pixels a side, got " + text(l.height, l.width));
  expect(within(l.small_height, l.small_width, 0),
         "limits: expected feathering at up to 32767 pixels a side, got " + text(l.small_height, l.small_width));
  expect(l.out_height >= 0 && l.out_width >= 0,
         "limits: expected windows of non-negative sizes, got " + text(l.out_height, l.out_width));
  expect(
      chain.elastic.radius >= 0 && chain.elastic.radius <= kElasticRadius,
      "elastic: expected a radius of 0 to " + std::to_string(kElasticRadius) + ", got " + std::to_string(chain.elastic.radius));
  expect(chain.elastic.amplitude >= 0 && chain.elastic.amplitude <= kLargestSide,
         "elastic: expected an amplitude of 0 to 32767 pixels, got " + std::to_string(chain.elastic.amplitude));
  const int64_t slots = std::min<int64_t>(chain.device.type == DeviceType::cpu ? execution.threads : 1, chain.count);
  expect(chain.scratch_slots >= slots,
         "scratch: expected " + std::to_string(slots) + " slots, got " + std::to_string(chain.scratch_slots));
}

// A batch of masks, each at most as large as the chain's limits say.
template <class T>
void check_masks(const char* name, const RaggedView<T>& view, const MaskChain& chain, int32_t height, int32_t width) {
  check_ragged(name, view, chain.count, 1, chain.device);
  expect(view.max_height <= height && view.max_width <= width,
         std::string(name) + ": expected sizes up to " + text(height, width) + ", got " + text(view.max_height, view.max_width));
  for (const void* part :
       {static_cast<const void*>(view.data), static_cast<const void*>(view.offsets), static_cast<const void*>(view.sizes)})
    check_pointer(name, part);
}

}  // namespace

size_t mask_scratch_bytes(const MaskLimits& limits, const Elastic& elastic) { return MaskLayout(limits, elastic).bytes; }

bool FeatherMasksArguments::validate(const Execution& execution) const {
  check_count("items", chain.count);
  if (chain.count == 0) return false;
  check_chain(chain, execution);
  check_masks("masks", masks, chain, chain.limits.height, chain.limits.width);
  check_masks("out", out, chain, chain.limits.out_height, chain.limits.out_width);
  return true;
}

bool SoftMasksArguments::validate(const Execution& execution) const {
  check_count("items", chain.count);
  if (chain.count == 0) return false;
  check_chain(chain, execution);
  check_masks("out", out, chain, chain.limits.out_height, chain.limits.out_width);
  return true;
}

void feather_masks(const FeatherMasksArguments& arguments, const Execution& execution) {
  dispatch(arguments, execution, cpu::run_feather_masks, FPG_GPU_KERNEL(cuda::feather_masks));
}

void soft_masks(const SoftMasksArguments& arguments, const Execution& execution) {
  dispatch(arguments, execution, cpu::run_soft_masks, FPG_GPU_KERNEL(cuda::soft_masks));
}

}  // namespace fpg
