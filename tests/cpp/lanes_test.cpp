// Runs on the CPU what a GPU computes in 16-byte accesses: groups of pixels cover every pixel once and are aligned, and functors
// give the same results for four neighbours at a time as for one.
#include "common/lanes.h"

#include <string>
#include <type_traits>
#include <vector>

#include "check.h"
#include "magnitude/math.h"
#include "perception/math.h"
#include "random_inputs.h"

namespace {

void test_groups() {
  alignas(16) static uint8_t memory[16 + 3 * 70];
  for (uintptr_t shift = 0; shift < 16; ++shift)
    for (int64_t pixels = 0; pixels <= 70; ++pixels)
      for (const bool wide : {false, true}) {
        const std::string context = std::to_string(shift) + " bytes on, " + std::to_string(pixels) + " pixels";
        const auto address = reinterpret_cast<uintptr_t>(memory) + shift;
        const fpg::PixelGroups parts(address, pixels, wide);
        std::vector<int> seen(static_cast<size_t>(pixels), 0);
        for (int64_t i = 0; i < parts.groups; ++i) {
          CHECK((address + 3 * static_cast<uintptr_t>(parts.group(i))) % 16 == 0, context);
          for (int64_t k = 0; k < fpg::kGroupPixels; ++k) ++seen.at(static_cast<size_t>(parts.group(i) + k));
        }
        for (int64_t i = 0; i < parts.singles; ++i) ++seen.at(static_cast<size_t>(parts.single(i)));
        CHECK(seen == std::vector<int>(static_cast<size_t>(pixels), 1), context);
        CHECK(wide ? parts.singles < 31 : parts.groups == 0, context);
      }
}

void test_pixels() {
  inputs::Random random(1);
  alignas(16) uint8_t from[48], to[48] = {};
  for (auto& value : from) value = random.byte();
  fpg::RgbLanes<fpg::kGroupPixels>(from).store_to(to);
  CHECK(std::vector<uint8_t>(from, from + 48) == std::vector<uint8_t>(to, to + 48), "a group");
  fpg::RgbLanes<1>(from + 3).store_to(to);
  CHECK(to[0] == from[3] && to[1] == from[4] && to[2] == from[5] && to[3] == from[3], "a pixel");
}

constexpr int64_t kItems = 2, kChannels = 3, kPixels = 20;

struct alignas(16) Plane {
  float values[kItems * kChannels * kPixels];
};

template <class Functor>
void both_ways(const Functor& functor, int64_t indices, const std::vector<Plane*>& outs, const char* name) {
  CHECK(functor.wide(), name);
  const auto run = [&](auto step) {
    for (Plane* out : outs) std::fill(std::begin(out->values), std::end(out->values), -9.0f);
    for (int64_t index = 0; index < indices; ++index)
      for (int64_t i = 0; i < kPixels; i += step) functor.template lanes<step>(index, kPixels, i);
    std::vector<float> result;
    for (Plane* out : outs) result.insert(result.end(), std::begin(out->values), std::end(out->values));
    return result;
  };
  CHECK(run(std::integral_constant<int, 1>{}) == run(std::integral_constant<int, fpg::kWideFloats>{}), name);
}

void test_functors() {
  inputs::Random random(2);
  Plane s{}, b{}, f{}, g{}, m{}, out{};
  for (Plane* plane : {&s, &b, &f, &g, &m, &out})
    for (float& value : plane->values) value = static_cast<float>(random.uniform(-0.2, 1.2));
  const int64_t votes[kItems] = {3, -4};
  both_ways(fpg::MagnitudeUpdate{s.values, b.values, f.values, m.values, votes, out.values, 0.1f, kChannels}, kItems * kChannels,
            {&out}, "step");
  CHECK(!(fpg::MagnitudeUpdate{s.values + 1, b.values, f.values, m.values, votes, out.values, 0.1f, kChannels}.wide()),
        "one float on");

  const fpg::MagnitudeVote vote{g.values, s.values, b.values, nullptr};
  int64_t four = 0, one = 0;
  const fpg::PerceptionSum sum{m.values, nullptr, nullptr};
  fpg::PerceptionSum::Accumulator four_sums, one_sums;
  for (int64_t i = 0; i < kPixels; ++i) vote.lanes<1>(i, one), sum.lanes<1>(i, one_sums);
  for (int64_t i = 0; i < kPixels; i += 4) vote.lanes<4>(i, four), sum.lanes<4>(i, four_sums);
  CHECK(four == one, "vote");
  CHECK(four_sums.sum == one_sums.sum && four_sums.positive == one_sums.positive, "sum");

  alignas(16) uint8_t remaining[kPixels], expected[kPixels];
  fpg::PerceptionSplit split{s.values, b.values, nullptr, remaining, nullptr, nullptr};
  fpg::PerceptionSplit::Accumulator four_counts{0.5f, 0, 0}, one_counts{0.5f, 0, 0};
  for (int64_t i = 0; i < kPixels; i += 4) split.lanes<4>(i, four_counts);
  split.remaining = expected;
  for (int64_t i = 0; i < kPixels; ++i) split.lanes<1>(i, one_counts);
  CHECK(four_counts.masked == one_counts.masked && four_counts.dominant == one_counts.dominant, "counts");
  CHECK(std::vector<uint8_t>(remaining, remaining + kPixels) == std::vector<uint8_t>(expected, expected + kPixels), "remaining");
}

}  // namespace

int main() {
  test_groups();
  test_pixels();
  test_functors();
  return check::result();
}
