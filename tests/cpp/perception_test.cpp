// perception_statistics in C++, compared with a simple double-precision loop, and its errors.
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "check.h"
#include "common/error.h"
#include "perception/perception.h"

namespace {

struct Result {
  std::vector<float> threshold;
  std::vector<int64_t> dominant, masked, sum, positive;
  std::vector<uint8_t> remaining;
};

struct Batch {
  int64_t items, height, width;
  std::vector<float> maps, masks;
  size_t pixels() const { return static_cast<size_t>(height * width); }
};

Batch random_batch(int64_t items, int64_t height, int64_t width, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(0.0f, 1.0f);
  const auto size = static_cast<size_t>(items * height * width);
  Batch batch{items, height, width, std::vector<float>(size), std::vector<float>(size)};
  for (float& value : batch.maps) value = uniform(generator) < 0.3f ? 0.0f : uniform(generator);
  for (float& value : batch.masks) value = uniform(generator) < 0.5f ? 0.0f : uniform(generator);
  return batch;
}

Result run(const Batch& batch, int threads) {
  const auto items = static_cast<size_t>(batch.items);
  Result r{std::vector<float>(items, -1.0f), std::vector<int64_t>(items, -1), std::vector<int64_t>(items, -1),
           std::vector<int64_t>(items, -1),  std::vector<int64_t>(items, -1), std::vector<uint8_t>(batch.maps.size(), 9)};
  const std::array<int64_t, 3> shape{batch.items, batch.height, batch.width};
  const std::array<int64_t, 1> flat{batch.items};
  fpg::perception_statistics({{batch.maps.data(), shape, {}},
                              {batch.masks.data(), shape, {}},
                              {r.threshold.data(), flat, {}},
                              {r.dominant.data(), flat, {}},
                              {r.masked.data(), flat, {}},
                              {r.remaining.data(), shape, {}},
                              {r.sum.data(), flat, {}},
                              {r.positive.data(), flat, {}}},
                             {threads, nullptr});
  return r;
}

void compare(const Batch& batch, const Result& r, const std::string& context) {
  for (size_t b = 0; b < static_cast<size_t>(batch.items); ++b) {
    const float* c = batch.maps.data() + b * batch.pixels();
    const float* m = batch.masks.data() + b * batch.pixels();
    double sum = 0;
    int64_t positive = 0, masked = 0, dominant = 0;
    for (size_t i = 0; i < batch.pixels(); ++i) {
      if (c[i] > 0) sum += std::fmin(c[i], 1.0f), ++positive;
    }
    const auto threshold = static_cast<float>(positive > 0 ? sum / static_cast<double>(positive) : 0.0);
    CHECK(std::fabs(r.threshold[b] - threshold) <= 1.2e-7f * threshold, context);
    bool same = true;
    for (size_t i = 0; i < batch.pixels(); ++i) {
      const bool inside = m[i] > 0, above = c[i] > r.threshold[b];
      masked += inside;
      dominant += inside && above;
      same = same && r.remaining[b * batch.pixels() + i] == (inside && !above ? 1 : 0);
    }
    CHECK(same, context);
    CHECK(r.positive[b] == positive, context);
    CHECK(r.masked[b] == masked, context);
    CHECK(r.dominant[b] == dominant, context);
  }
}

void test_against_plain_loop() {
  const int64_t sizes[][3] = {{0, 4, 4}, {1, 1, 1}, {3, 1, 17}, {2, 33, 1}, {5, 19, 23}, {2, 0, 7}, {4, 64, 64}};
  unsigned seed = 1;
  for (const auto& size : sizes) {
    const Batch batch = random_batch(size[0], size[1], size[2], seed++);
    const Result one = run(batch, 1);
    const std::string context = std::to_string(size[0]) + " x " + std::to_string(size[1]) + " x " + std::to_string(size[2]);
    compare(batch, one, context);
    for (int threads : {2, 3, 16}) {
      const Result many = run(batch, threads);
      CHECK(many.sum == one.sum && many.threshold == one.threshold && many.dominant == one.dominant, context);
      CHECK(many.masked == one.masked && many.remaining == one.remaining && many.positive == one.positive, context);
    }
  }
}

void test_special_values() {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  const float denormal = std::numeric_limits<float>::denorm_min();
  Batch batch{1, 2, 4, {nan, 0.5f, inf, -1.0f, 0.25f, -inf, 0.0f, denormal}, {1.0f, 1.0f, 1.0f, 1.0f, nan, inf, -1.0f, 0.5f}};
  const Result r = run(batch, 1);
  compare(batch, r, "NaN, infinities, a denormal");
  CHECK(r.positive[0] == 4 && r.masked[0] == 6 && r.dominant[0] == 2, "");  // mean of 0.5, 1, 0.25, ~0 is 0.4375
  CHECK(r.threshold[0] == 0.4375f, "");

  Batch constant{1, 5, 5, std::vector<float>(25, 0.1f), std::vector<float>(25, 1.0f)};
  CHECK(run(constant, 1).dominant[0] == 0, "a constant map is nowhere above its mean");
}

void test_errors() {
  std::vector<float> data(8);
  const fpg::TensorView<const float, 3> maps{data.data(), {2, 2, 2}, {}};
  const auto message = [&](fpg::TensorView<const float, 3> a, fpg::TensorView<const float, 3> b, const fpg::Execution& e = {}) {
    std::vector<int64_t> counts(8);
    std::vector<float> threshold(8);
    std::vector<uint8_t> remaining(8);
    const std::array<int64_t, 1> flat{a.shape[0]};
    return check::message<fpg::InvalidArgument>([&] {
      fpg::perception_statistics({a,
                                  b,
                                  {threshold.data(), flat, a.device},
                                  {counts.data(), flat, a.device},
                                  {counts.data() + 2, flat, a.device},
                                  {remaining.data(), a.shape, a.device},
                                  {counts.data() + 4, flat, a.device},
                                  {counts.data() + 6, flat, a.device}},
                                 e);
    });
  };
  CHECK(message(maps, {data.data(), {2, 2, 1}, {}}) == "masks: expected [2, 2, 2], got [2, 2, 1]", "");
  CHECK(message(maps, {nullptr, {2, 2, 2}, {}}) == "masks: expected data, got a null pointer", "");
  CHECK(message(maps, {data.data(), {2, 2, 2}, {fpg::DeviceType::cuda, 1}}) == "masks: expected device cpu, got cuda:1", "");
  CHECK(message(maps, maps, {0, nullptr}) == "threads: expected at least 1, got 0", "");
  const fpg::TensorView<const float, 3> huge{data.data(), {1, 1 << 14, 1 << 13}, {}};
  CHECK(message(huge, huge) == "maps: expected H * W < 2^27, got [1, 16384, 8192]", "");
  const fpg::TensorView<const float, 3> negative{data.data(), {1, -1, 3}, {}};
  CHECK(message(negative, negative) == "maps: expected [B, H, W] of non-negative sizes, got [1, -1, 3]", "");
}

void test_cuda_status() {
  const fpg::CudaStatus status = fpg::cuda_status();
  CHECK((status.devices > 0) == status.reason.empty(), status.reason);
  if (!fpg::build_info().cuda) {
    CHECK(status.devices == 0, "");
  }
}

}  // namespace

int main() {
  test_against_plain_loop();
  test_special_values();
  test_errors();
  test_cuda_status();
  return check::result();
}
