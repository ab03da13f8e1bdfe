// The mask chain on the CPU: one item after the other, in the scratch memory of its thread, on boxes around what is not zero.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "backends_masks.h"
#include "cpu/hot.h"
#include "cpu/parallel.h"
#include "math/elastic.h"
#include "math/feather.h"
#include "math/hull.h"

namespace fpg::cpu {
namespace {

// A stage over its range, in wide lanes. The last ones of a row overlap those before: a stage whose input is not its output may
// compute a pixel twice.
template <int N, class Stage>
inline void run_rows(const Stage& stage, int64_t slot) {
  const Stage local = stage;
  const Box range = local.range(slot);
  for (int32_t y = range.y0; y < range.y1; ++y) {
    int32_t x = range.x0;
    for (; x + N <= range.x1; x += N) local.template lanes<N>(slot, y, x);
    if (x == range.x1) continue;
    if constexpr (N > 1) {
      if (range.x1 - range.x0 >= N) {
        local.template lanes<N>(slot, y, range.x1 - N);
        continue;
      }
    }
    for (; x < range.x1; ++x) local.template lanes<1>(slot, y, x);
  }
}

template <int N, class Stage>
inline void run_rows_once(const Stage& stage, int64_t slot) {
  const Stage local = stage;
  const Box range = local.range(slot);
  for (int32_t y = range.y0; y < range.y1; ++y) {
    int32_t x = range.x0;
    for (; x + N <= range.x1; x += N) local.template lanes<N>(slot, y, x);
    for (; x < range.x1; ++x) local.template lanes<1>(slot, y, x);
  }
}

FPG_HOT_FMA void run(const MaskZeros& stage, int64_t slot) { run_rows<8>(stage, slot); }
FPG_HOT_FMA void run(const HullCorners& stage, int64_t slot) { run_rows<1>(stage, slot); }
FPG_HOT_FMA void run(const HullSpans& stage, int64_t slot) { run_rows<1>(stage, slot); }
FPG_HOT_FMA void run(const HullRaster& stage, int64_t slot) { run_rows<32>(stage, slot); }
FPG_HOT_FMA void run(const MaskCopy& stage, int64_t slot) { run_rows<32>(stage, slot); }
FPG_HOT_FMA void run(const WarpTables& stage, int64_t slot) { run_rows<1>(stage, slot); }
FPG_HOT_FMA void run(const ElasticNoise& stage, int64_t slot) { run_rows<32>(stage, slot); }
FPG_HOT_FMA void run(const ElasticRows& stage, int64_t slot) { run_rows<32>(stage, slot); }
FPG_HOT_FMA void run(const ElasticBorder& stage, int64_t slot) { run_rows<1>(stage, slot); }
FPG_HOT_FMA void run(const ElasticColumns& stage, int64_t slot) { run_rows<32>(stage, slot); }
FPG_HOT_FMA void run(const WarpLookup& stage, int64_t slot) { run_rows_once<32>(stage, slot); }  // wants even columns
FPG_HOT_FMA void run(const MaskErode& stage, int64_t slot) { run_rows<32>(stage, slot); }
FPG_HOT_FMA void run(const FeatherTables& stage, int64_t slot) { run_rows<1>(stage, slot); }
FPG_HOT_FMA void run(const FeatherDown& stage, int64_t slot) { run_rows<16>(stage, slot); }
FPG_HOT_FMA void run(const FeatherColumns& stage, int64_t slot) { run_rows<32>(stage, slot); }
FPG_HOT_FMA void run(const FeatherRows& stage, int64_t slot) { run_rows<32>(stage, slot); }
FPG_HOT_FMA void run(const FeatherKeep& stage, int64_t slot) { run_rows<32>(stage, slot); }
FPG_HOT_FMA void run(const FeatherScale& stage, int64_t slot) { run_rows_once<8>(stage, slot); }
FPG_HOT_FMA void run(const FeatherUpColumns& stage, int64_t slot) { run_rows<16>(stage, slot); }
FPG_HOT_FMA void run(const FeatherUpRows& stage, int64_t slot) { run_rows<32>(stage, slot); }

FPG_HOT_FMA uint32_t largest_of(const FeatherLargest& stage, int64_t slot) {
  const FeatherLargest local = stage;
  const Box range = local.range(slot);
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

Box intersect(const Box& a, const Box& b) {
  return {std::max(a.y0, b.y0), std::min(a.y1, b.y1), std::max(a.x0, b.x0), std::min(a.x1, b.x1)};
}

Box grow(const Box& box, int32_t by, const Box& within) {
  return intersect({box.y0 - by, box.y1 + by, box.x0 - by, box.x1 + by}, within);
}

// The smallest box around the elements of a row-major image that `is` accepts; empty if there is none.
template <class Row, class Is>
Box bounds(const Box& range, const Row& row, const Is& is) {
  Box box{range.y1, range.y0, range.x1, range.x0};
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
    MaskBegin{work, work.soft_out.data != nullptr}(slot, item);
    image_ = {0, item_.height, 0, item_.width};
  }

  // The hulls' spans; false if no pixel of the image belongs to one.
  bool hulls() {
    run(HullCorners{work_}, slot_);
    const int32_t* corners = work_.at<const int32_t>(slot_, work_.layout.corners);
    Box box{INT32_MAX, INT32_MIN, INT32_MAX, INT32_MIN};
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

  void raster(bool to_output) { run(HullRaster{work_, to_output}, slot_); }

  bool copy() {
    state_.raster = nonzero_input();
    if (state_.raster.empty()) return false;
    run(MaskCopy{work_}, slot_);
    return true;
  }

  // From the hard mask in scratch memory to the warped one; false if it lies outside.
  bool warp(bool to_output) {
    const Box moved = forward(state_.raster);
    // The field moves nothing farther than its amplitude; how far it does is known when it is there. Both boxes have zeros
    // around.
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
    run(WarpLookup{work_, to_output}, slot_);
    return true;
  }

  // Erodes the input where there is something to erode; false if the input is zero.
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

  Box image() const { return image_; }

 private:
  // What the affine change makes of a box, with a pixel around it for rounding.
  Box forward(const Box& box) const {
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
  Box near_border(const Box& box, int32_t radius) const {
    return {box.y0 <= radius ? 0 : box.y0, box.y1 + radius >= item_.small_height ? item_.small_height : box.y1,
            box.x0 <= radius ? 0 : box.x0, box.x1 + radius >= item_.small_width ? item_.small_width : box.x1};
  }

  static Box even(const Box& box) { return {box.y0, box.y1, box.x0 / 2 * 2, box.x1}; }

  // Grid points that the pixels of a box are interpolated from.
  Box around(const Box& box) const {
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

  Box nonzero_input() const {
    return bounds(image_, [&](int32_t y) { return work_.input(slot_, y); }, [](uint8_t value) { return value != 0; });
  }

  float* out_row(int32_t y) const {
    return work_.soft_out.data + work_.soft_out.offsets[state_.item] + int64_t{y} * state_.out_width;
  }

  void clear_around() {
    const Box& box = state_.out;
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
  Box image_{};
  Box core_{};  // outside of it the hard mask is zero
};

MaskWork work_of(const MaskChain& chain) {
  return {chain.items, static_cast<unsigned char*>(chain.scratch), MaskLayout(chain.limits, chain.elastic), chain.elastic, {}, {},
          {}};
}

// Calls body(slot, item) for every item, each slot in one thread.
template <class Body>
void for_items(int64_t count, const Execution& execution, const Body& body) {
  std::atomic<int64_t> next{0};
  parallel_for(std::min<int64_t>(count, execution.threads), execution.threads, [&](int64_t slot) {
    for (int64_t item = next++; item < count; item = next++) body(slot, item);
  });
}

void clear_item(const RaggedView<uint8_t>& out, int64_t item) {
  std::memset(out.data + out.offsets[item], 0, static_cast<size_t>(int64_t{out.sizes[2 * item]} * out.sizes[2 * item + 1]));
}

}  // namespace

void face_masks(const MaskChain& chain, const RaggedView<uint8_t>& out, const Execution& execution) {
  MaskWork work = work_of(chain);
  work.hard_out = out;
  for_items(chain.count, execution, [&](int64_t slot, int64_t item) {
    Chain steps(work, slot, item);
    if (steps.hulls())
      steps.raster(true);
    else
      clear_item(out, item);
  });
}

void warp_masks(const MaskChain& chain, const RaggedView<const uint8_t>& in, const RaggedView<uint8_t>& out,
                const Execution& execution) {
  MaskWork work = work_of(chain);
  work.in = in;
  work.hard_out = out;
  for_items(chain.count, execution, [&](int64_t slot, int64_t item) {
    clear_item(out, item);
    Chain steps(work, slot, item);
    if (steps.copy()) steps.warp(true);
  });
}

void feather_masks(const MaskChain& chain, const RaggedView<const uint8_t>& in, const RaggedView<float>& out,
                   const Execution& execution) {
  MaskWork work = work_of(chain);
  work.in = in;
  work.soft_out = out;
  for_items(chain.count, execution, [&](int64_t slot, int64_t item) {
    Chain steps(work, slot, item);
    bool from_input = true;
    if (steps.erode(&from_input))
      steps.feather(from_input);
    else
      steps.clear();
  });
}

void soft_masks(const MaskChain& chain, const RaggedView<float>& out, const Execution& execution) {
  MaskWork work = work_of(chain);
  work.soft_out = out;
  for_items(chain.count, execution, [&](int64_t slot, int64_t item) {
    Chain steps(work, slot, item);
    if (!steps.hulls()) return steps.clear();
    steps.raster(false);
    if (steps.warp(false))
      steps.feather(false);
    else
      steps.clear();
  });
}

}  // namespace fpg::cpu
