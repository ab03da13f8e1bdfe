#include "math/blend.h"

#include <algorithm>

#include "backends_image.h"
#include "cpu/hot.h"
#include "cpu/parallel.h"
#include "math/ragged_layout.h"

namespace fpg::cpu {
namespace {

constexpr int kBlock = 256;         // pixels
constexpr int64_t kSpan = 1 << 14;  // elements of a plane that one call of a functor takes: they stay in the cache

FPG_HOT void blend_pixels(const uint8_t* s, const uint8_t* b, const float* __restrict mask, int count, uint8_t* out) {
  alignas(64) float weights[3 * kBlock];
  alignas(64) uint8_t result[3 * kBlock];
  for (int i = 0; i < count; ++i) weights[3 * i] = weights[3 * i + 1] = weights[3 * i + 2] = blend_weight(mask[i]);
  for (int i = 0; i < 3 * count; ++i) result[i] = blend_level(weights[i], s[i], b[i]);
  std::copy_n(result, 3 * count, out);
}

template <class Functor>
FPG_INLINE void run_each(const Functor& functor, int64_t index, int64_t pixels, int64_t first, int64_t last) {
  const Functor local = functor;  // a copy that no store can alias
  for (int64_t i = first; i < last; ++i) local.template lanes<1>(index, pixels, i);
}

FPG_HOT void run(const Reblend& functor, int64_t index, int64_t pixels, int64_t first, int64_t last) {
  run_each(functor, index, pixels, first, last);
}
FPG_HOT void run(const ReblendBackward& functor, int64_t index, int64_t pixels, int64_t first, int64_t last) {
  run_each(functor, index, pixels, first, last);
}
FPG_HOT void run(const MagnitudeUpdate& functor, int64_t index, int64_t pixels, int64_t first, int64_t last) {
  run_each(functor, index, pixels, first, last);
}

// Every span of every index.
template <class Functor>
void run_spans(const Functor& functor, int64_t indices, int64_t pixels, const Execution& execution) {
  const int64_t spans = (pixels + kSpan - 1) / kSpan;
  parallel_for(indices * spans, execution.threads, [&](int64_t i) {
    const int64_t first = i % spans * kSpan;
    run(functor, i / spans, pixels, first, std::min(pixels, first + kSpan));
  });
}

// Elements are counted in spans short enough for 32-bit lanes.
FPG_HOT int64_t vote(const float* __restrict gradient, const float* __restrict s, const float* __restrict b, int64_t count) {
  int64_t total = 0;
  for (int64_t first = 0; first < count; first += kSpan) {
    const int64_t last = std::min(count, first + kSpan);
    int32_t part = 0;
    for (int64_t i = first; i < last; ++i) part += MagnitudeVote::sign(gradient[i], s[i] - b[i]);
    total += part;
  }
  return total;
}

}  // namespace

void blend(const RaggedView<const uint8_t>& source, const RaggedView<const uint8_t>& background,
           const RaggedView<const float>& masks, uint8_t* out, const Execution& execution) {
  const auto s = layout(source), b = layout(background);
  const auto m = layout(masks);
  parallel_for(source.items, execution.threads, [&](int64_t item) {
    const int64_t pixels = static_cast<int64_t>(b.height(item)) * b.width(item);
    for (int64_t i = 0; i < pixels; i += kBlock)
      blend_pixels(s.item(item) + 3 * i, b.item(item) + 3 * i, m.item(item) + i,
                   static_cast<int>(std::min<int64_t>(kBlock, pixels - i)), out + b.offsets[item] + 3 * i);
  });
}

void reblend(const TensorView<const float, 4>& source, const TensorView<const float, 4>& background,
             const TensorView<const float, 4>& mask, const TensorView<float, 4>& out, const Execution& execution) {
  const auto& shape = source.shape;
  run_spans(Reblend{source.data, background.data, mask.data, out.data, shape[1]}, shape[0] * shape[1], shape[2] * shape[3],
            execution);
}

void reblend_backward(const TensorView<const float, 4>& gradient, const TensorView<const float, 4>& source,
                      const TensorView<const float, 4>& background, const TensorView<const float, 4>& mask,
                      const ReblendGradients& out, const Execution& execution) {
  const auto& shape = source.shape;
  run_spans(ReblendBackward{gradient.data, source.data, background.data, mask.data, out.source.data, out.background.data,
                            out.mask.data, shape[1]},
            shape[0], shape[2] * shape[3], execution);
}

void magnitude_vote(const TensorView<const float, 4>& gradient, const TensorView<const float, 4>& source,
                    const TensorView<const float, 4>& background, const TensorView<int64_t, 1>& votes,
                    const Execution& execution) {
  const int64_t count = source.shape[1] * source.shape[2] * source.shape[3];
  parallel_for(source.shape[0], execution.threads, [&](int64_t item) {
    votes.data[item] = vote(gradient.data + item * count, source.data + item * count, background.data + item * count, count);
  });
}

void magnitude_step(const MagnitudeStep& in, const TensorView<float, 4>& out, const Execution& execution) {
  const auto& shape = in.source.shape;
  run_spans(
      MagnitudeUpdate{in.source.data, in.background.data, in.fake.data, in.mask.data, in.votes.data, out.data, in.eps, shape[1]},
      shape[0] * shape[1], shape[2] * shape[3], execution);
}

}  // namespace fpg::cpu
