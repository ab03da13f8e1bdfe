// Runs a reduction functor (see perception/math.h) over one item of the batch.
#pragma once

#include <cstdint>

#include "common/cpu/hot.h"

namespace fpg::cpu {

template <class Reduction>
FPG_INLINE void reduce_item(const Reduction& reduction, int64_t item, int64_t pixels) {
  const Reduction local = reduction;  // a copy that no store can alias, so that the loop is vectorised
  typename Reduction::Accumulator total = local.begin(item);
  const int64_t first = item * pixels;
  for (int64_t i = first; i < first + pixels; ++i) local.template lanes<1>(i, total);
  local.commit(item, total, [](int64_t* out, int64_t value) { *out = value; });
}

}  // namespace fpg::cpu
