#include <algorithm>

#include "common/cpu/hot.h"
#include "common/cpu/parallel.h"
#include "common/dispatch.h"
#include "magnitude/magnitude.h"
#include "magnitude/math.h"

namespace fpg {
namespace cpu {
namespace {

constexpr int64_t kSpan = 1 << 14;  // elements that one call of a loop takes: they stay in the cache

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

FPG_HOT void update(const MagnitudeUpdate& functor, int64_t plane, int64_t pixels, int64_t first, int64_t last) {
  const MagnitudeUpdate local = functor;  // a copy that no store can alias
  for (int64_t i = first; i < last; ++i) local.lanes<1>(plane, pixels, i);
}

void run_vote(const MagnitudeVoteArguments& a, const Execution& execution) {
  const auto& shape = a.source.shape;
  const int64_t count = shape[1] * shape[2] * shape[3];
  parallel_for(shape[0], execution.threads, [&](int64_t item) {
    const int64_t first = item * count;
    a.votes.data[item] = vote(a.gradient.data + first, a.source.data + first, a.background.data + first, count);
  });
}

void run_step(const MagnitudeStepArguments& a, const Execution& execution) {
  const auto& shape = a.source.shape;
  const MagnitudeUpdate functor{a.source.data, a.background.data, a.fake.data, a.mask.data,
                                a.votes.data,  a.out.data,        a.eps,       shape[1]};
  const int64_t pixels = shape[2] * shape[3], spans = (pixels + kSpan - 1) / kSpan;
  parallel_for(shape[0] * shape[1] * spans, execution.threads, [&](int64_t i) {
    const int64_t first = i % spans * kSpan;
    update(functor, i / spans, pixels, first, std::min(pixels, first + kSpan));
  });
}

}  // namespace
}  // namespace cpu

namespace {

void check_source(const TensorView<const float, 4>& source) {
  const auto& shape = source.shape;
  expect(shape[0] >= 0 && shape[1] >= 1 && shape[2] >= 0 && shape[3] >= 0,
         "source: expected [B, C, H, W] with C >= 1, got " + text(shape));
  check_tensor("source", source, shape, source.device);
}

}  // namespace

bool MagnitudeVoteArguments::validate(const Execution&) const {
  check_source(source);
  check_tensor("gradient", gradient, source.shape, source.device);
  check_tensor("background", background, source.shape, source.device);
  check_tensor("votes", votes, {source.shape[0]}, source.device);
  return source.shape[0] > 0;
}

bool MagnitudeStepArguments::validate(const Execution&) const {
  check_source(source);
  check_tensor("background", background, source.shape, source.device);
  check_tensor("fake", fake, source.shape, source.device);
  check_tensor("mask", mask, {source.shape[0], 1, source.shape[2], source.shape[3]}, source.device);
  check_tensor("votes", votes, {source.shape[0]}, source.device);
  check_tensor("out", out, source.shape, source.device);
  return source.size() > 0;
}

void magnitude_vote(const MagnitudeVoteArguments& arguments, const Execution& execution) {
  dispatch(arguments, execution, cpu::run_vote, FPG_GPU_KERNEL(cuda::magnitude_vote));
}

void magnitude_step(const MagnitudeStepArguments& arguments, const Execution& execution) {
  dispatch(arguments, execution, cpu::run_step, FPG_GPU_KERNEL(cuda::magnitude_step));
}

}  // namespace fpg
