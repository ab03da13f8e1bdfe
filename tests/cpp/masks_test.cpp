// The mask chain in C++ on random sizes and landmarks, in memory of exactly the right size, for the sanitizers. Results are in
// range and independent of the number of threads, feathering equals the end of the whole chain, and errors say what is wrong.
#include <cstring>
#include <vector>

#include "check.h"
#include "common/error.h"
#include "masks/masks.h"
#include "random_inputs.h"

namespace {

using inputs::gaussian;
using inputs::Images;

inputs::Random random_source(7);

int32_t integer(int32_t low, int32_t high) { return random_source.integer(low, high); }

fpg::MaskItem random_item(int32_t largest) {
  const int32_t height = integer(1, largest);
  return inputs::mask_item(random_source, height, integer(1, largest));
}

// Without feathering (at its own size, with kernels of one pixel) a hard mask does not change.
fpg::MaskItem hard_item(fpg::MaskItem m) {
  m.small_height = m.height, m.small_width = m.width;
  m.radius1 = m.radius2 = 0;
  m.weights1[0] = m.weights2[0] = m.ratio = 1.0f;
  m.y0 = m.x0 = 0;
  return m;
}

void test_random_batch(int32_t largest, float amplitude, int32_t radius) {
  std::vector<fpg::MaskItem> items, hard_items;
  Images<uint8_t> hard;
  Images<float> whole, soft;
  fpg::MaskLimits limits;
  for (int i = 0; i < 6; ++i) {
    fpg::MaskItem m = random_item(largest);
    m.y0 = integer(0, m.height - 1), m.x0 = integer(0, m.width - 1);
    hard.add(m.height, m.width);
    whole.add(m.height, m.width);
    soft.add(integer(1, m.height - m.y0), integer(1, m.width - m.x0));
    limits.small_height = std::max({limits.small_height, m.small_height, m.height});
    limits.small_width = std::max({limits.small_width, m.small_width, m.width});
    items.push_back(m);
    hard_items.push_back(hard_item(m));
  }
  limits.height = hard.height, limits.width = hard.width, limits.out_height = whole.height, limits.out_width = whole.width;

  fpg::MaskChain chain;
  chain.count = 6;
  chain.limits = limits;
  chain.elastic.amplitude = amplitude;
  chain.elastic.radius = radius;
  gaussian(chain.elastic.weights, radius, radius / 4.0 + 0.1);
  const size_t bytes = fpg::mask_scratch_bytes(limits, chain.elastic);
  const auto feather_masks = [&](int threads) {
    chain.items = items.data();
    fpg::feather_masks({chain, hard.view<const uint8_t>(), soft.view<float>()}, {threads, nullptr});
    return soft.data;
  };
  std::vector<std::vector<float>> results;
  for (int threads : {1, 3}) {
    std::vector<unsigned char> scratch(bytes * static_cast<size_t>(threads), 0xFF);  // NaN wherever it was not written
    chain.scratch = scratch.data();
    chain.scratch_slots = threads;
    chain.items = hard_items.data();
    fpg::soft_masks({chain, whole.view<float>()}, {threads, nullptr});
    bool binary = true;
    for (size_t i = 0; i < whole.data.size(); ++i) {
      binary = binary && (whole.data[i] == 0.0f || whole.data[i] == 1.0f);
      hard.data[i] = static_cast<uint8_t>(whole.data[i] > 0.0f);
    }
    CHECK(binary, "");
    chain.items = items.data();
    fpg::soft_masks({chain, soft.view<float>()}, {threads, nullptr});
    const std::vector<float> fused = soft.data;
    results.push_back(feather_masks(threads));  // with erosion
    const std::vector<fpg::MaskItem> eroded = items;
    for (fpg::MaskItem& m : items) m.erode_up = m.erode_down = m.erode_left = m.erode_right = 0;
    CHECK(feather_masks(threads) == fused, "sides up to " + std::to_string(largest));
    items = eroded;
    results.push_back(fused);
    bool in_range = true;
    for (const auto& values : results)
      for (float v : values) in_range = in_range && v >= 0.0f && v <= 1.000001f;  // NaN is not
    CHECK(in_range, "");
  }
  CHECK(results[0] == results[2] && results[1] == results[3], "threads");

  std::vector<unsigned char> scratch(bytes);
  for (size_t i = 0; i + sizeof(float) <= bytes; i += sizeof(float)) {  // as plausible displacements
    const auto value = static_cast<float>(random_source.uniform(-largest, largest));
    std::memcpy(scratch.data() + i, &value, sizeof value);
  }
  chain.scratch = scratch.data();
  chain.scratch_slots = 1;
  CHECK(feather_masks(1) == results[0], "what scratch memory held before");
  fpg::soft_masks({chain, soft.view<float>()}, {1, nullptr});
  CHECK(soft.data == results[1], "what scratch memory held before");
}

void test_errors() {
  fpg::MaskItem item = random_item(9);
  Images<float> out;
  out.add(1, 1);
  fpg::MaskChain chain;
  chain.items = &item;
  chain.count = 1;
  chain.limits = {item.height, item.width, 1, 1, 1, 1};
  std::vector<unsigned char> scratch(fpg::mask_scratch_bytes(chain.limits, chain.elastic));
  chain.scratch = scratch.data();
  const auto message = [&](const fpg::MaskChain& c, int threads) {
    return check::message<fpg::InvalidArgument>([&] { fpg::soft_masks({c, out.view<float>()}, {threads, nullptr}); });
  };
  CHECK(message(chain, 1) == "scratch: expected 1 slots, got 0", "");
  chain.scratch_slots = 1;
  CHECK(message(chain, 0) == "threads: expected at least 1, got 0", "");
  chain.elastic.radius = 65;
  CHECK(message(chain, 1) == "elastic: expected a radius of 0 to 64, got 65", "");
}

}  // namespace

int main() {
  for (int round = 0; round < 40; ++round)
    test_random_batch(integer(1, 120), static_cast<float>(random_source.uniform(0, 60)), integer(0, 20));
  for (float amplitude : {0.0f, 0.5f, 20.0f}) test_random_batch(60, amplitude, 0);  // the field reaches its bound
  test_random_batch(1, 25.0f, 14);
  test_random_batch(40, 300.0f, 64);
  test_errors();
  return check::result();
}
