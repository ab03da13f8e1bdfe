#include "common/cpu/parallel.h"
#include "common/cpu/reduce.h"
#include "common/dispatch.h"
#include "perception/math.h"
#include "perception/perception.h"

namespace fpg {
namespace cpu {
namespace {

FPG_HOT void first_pass(const PerceptionSum& sum, int64_t item, int64_t pixels) { reduce_item(sum, item, pixels); }

FPG_HOT void second_pass(const PerceptionSplit& split, int64_t item, int64_t pixels) { reduce_item(split, item, pixels); }

void run(const PerceptionArguments& a, const Execution& execution) {
  const int64_t pixels = a.maps.shape[1] * a.maps.shape[2];
  const PerceptionSum sum{a.maps.data, a.sum.data, a.positive.data};
  const PerceptionThreshold threshold{a.sum.data, a.positive.data, a.threshold.data};
  const PerceptionSplit split{a.maps.data, a.masks.data, a.threshold.data, a.remaining.data, a.dominant.data, a.masked.data};
  // Both passes of one item follow each other while it is in the cache.
  parallel_for(a.maps.shape[0], execution.threads, [&](int64_t item) {
    first_pass(sum, item, pixels);
    threshold(item);
    second_pass(split, item, pixels);
  });
}

}  // namespace
}  // namespace cpu

bool PerceptionArguments::validate(const Execution&) const {
  const auto shape = maps.shape;
  expect(shape[0] >= 0 && shape[1] >= 0 && shape[2] >= 0, "maps: expected [B, H, W] of non-negative sizes, got " + text(shape));
  expect(shape[1] == 0 || shape[2] < (kPerceptionMaxPixels + shape[1] - 1) / shape[1],
         "maps: expected H * W < 2^27, got " + text(shape));
  const std::array<int64_t, 1> batch{shape[0]};
  check_tensor("maps", maps, shape, maps.device);
  check_tensor("masks", masks, shape, maps.device);
  check_tensor("threshold", threshold, batch, maps.device);
  check_tensor("dominant", dominant, batch, maps.device);
  check_tensor("masked", masked, batch, maps.device);
  check_tensor("remaining", remaining, shape, maps.device);
  check_tensor("sum", sum, batch, maps.device);
  check_tensor("positive", positive, batch, maps.device);
  return shape[0] > 0;
}

void perception_statistics(const PerceptionArguments& arguments, const Execution& execution) {
  dispatch(arguments, execution, cpu::run, FPG_GPU_KERNEL(cuda::perception_statistics));
}

}  // namespace fpg
