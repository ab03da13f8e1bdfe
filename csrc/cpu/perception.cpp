#include "math/perception.h"

#include "backends.h"
#include "cpu/parallel.h"
#include "cpu/reduce.h"

namespace fpg::cpu {
namespace {

FPG_HOT void first_pass(const PerceptionSum& sum, int64_t item, int64_t pixels) { reduce_item(sum, item, pixels); }

FPG_HOT void second_pass(const PerceptionSplit& split, int64_t item, int64_t pixels) { reduce_item(split, item, pixels); }

}  // namespace

void perception_statistics(const PerceptionInput& in, const PerceptionOutput& out, const Execution& execution) {
  const int64_t pixels = in.maps.shape[1] * in.maps.shape[2];
  const PerceptionSum sum{in.maps.data, out.sum.data, out.positive.data};
  const PerceptionThreshold threshold{out.sum.data, out.positive.data, out.threshold.data};
  const PerceptionSplit split{in.maps.data,       in.masks.data,     out.threshold.data,
                              out.remaining.data, out.dominant.data, out.masked.data};
  // Both passes of one item follow each other while it is in the cache.
  parallel_for(in.maps.shape[0], execution.threads, [&](int64_t item) {
    first_pass(sum, item, pixels);
    threshold(item);
    second_pass(split, item, pixels);
  });
}

}  // namespace fpg::cpu
