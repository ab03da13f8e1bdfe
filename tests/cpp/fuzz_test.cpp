// Every operation of the C++ API on random shapes (single pixels included), windows, masks and numbers: no access outside its
// memory (the sanitizers check that), results in range and independent of the number of threads, and the right results for masks
// of all 0 and all 1. The seed is fixed; the argument is another one, or `random`.
#include <cstdlib>
#include <limits>
#include <memory>
#include <numeric>
#include <string>

#include "blend/blend.h"
#include "check.h"
#include "color/color.h"
#include "crop/crop.h"
#include "jpeg/jpeg.h"
#include "magnitude/magnitude.h"
#include "perception/perception.h"
#include "random_inputs.h"
#include "resample/resample.h"
#include "self_blend/self_blend.h"
#include "warp/warp.h"

namespace {

using fpg::Crop;
using inputs::Images;
using inputs::Random;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

int32_t side_of(Random& random) { return random.chance(0.25) ? random.integer(1, 3) : random.integer(1, 70); }

Images<uint8_t> images_of(Random& random, int count) {
  Images<uint8_t> images{3};
  for (int i = 0; i < count; ++i) {
    const int32_t height = side_of(random);
    images.add(height, side_of(random));
  }
  for (auto& value : images.data) value = random.byte();
  return images;
}

void fill_color(Random& random, float* fields) {
  const auto whole = [&](int32_t low, int32_t high) { return static_cast<float>(random.integer(low, high)); };
  for (int i = 0; i < 3; ++i) fields[i] = random.chance(0.5) ? whole(-300, 300) : 0.0f;
  fields[3] = random.chance(0.5) ? 1.0f : 0.0f;
  fields[4] = whole(0, 179), fields[5] = whole(-9, 9), fields[6] = whole(-9, 9);
  fields[7] = static_cast<float>(random.uniform(-1, 2)), fields[8] = static_cast<float>(random.uniform(-300, 300));
}

void fill_resample(Random& random, float* fields) {
  fields[0] = random.chance(0.4) ? static_cast<float>(random.integer(1, 90)) : 0.0f;
  fields[1] = random.chance(0.5) ? static_cast<float>(random.uniform(-2, 2)) : 0.0f;
  fields[2] = static_cast<float>(random.uniform(-9, 9));
}

void fuzz_images(unsigned seed) {
  Random random(seed);
  const std::string context = "images, seed " + std::to_string(seed);
  const int count = random.integer(1, 4);
  Images<uint8_t> images = images_of(random, count);
  Images<uint8_t> outs = images_of(random, count);
  std::vector<float> colors(static_cast<size_t>(count) * fpg::kColorFields);
  std::vector<float> changes(static_cast<size_t>(count) * fpg::kResampleFields);
  std::vector<double> affine;
  std::vector<fpg::Window> windows, out_windows;
  std::vector<int32_t> quality;
  std::vector<int64_t> planes_at;
  int64_t planes_size = 0;
  for (int i = 0; i < count; ++i) {
    fill_color(random, colors.data() + i * fpg::kColorFields);
    fill_resample(random, changes.data() + i * fpg::kResampleFields);
    affine.insert(affine.end(),
                  {random.uniform(0.01, 9), random.uniform(-90, 90), random.uniform(0.01, 9), random.uniform(-90, 90)});
    const int32_t full_height = random.integer(1, 200), full_width = random.integer(1, 200);
    windows.push_back({random.integer(-90, 200), random.integer(-90, 200), full_height, full_width});
    out_windows.push_back({random.integer(-90, 200), random.integer(-90, 200), full_height, full_width});
    quality.push_back(random.chance(0.2) ? 0 : random.integer(1, 100));
    planes_at.push_back(planes_size);
    planes_size +=
        fpg::jpeg_scratch_bytes(images.sizes[2 * static_cast<size_t>(i)], images.sizes[2 * static_cast<size_t>(i) + 1]);
  }
  std::vector<uint8_t> planes(static_cast<size_t>(planes_size));

  std::vector<std::vector<uint8_t>> results[4];
  for (const int threads : {1, 3}) {
    const fpg::Execution execution{threads, nullptr};
    std::vector<uint8_t> colored(images.data.size());
    fpg::change_color({images.view<const uint8_t>(), colors.data(), colored.data()}, execution);
    results[0].push_back(colored);
    fpg::resample({images.view<const uint8_t>(), windows.data(), outs.view<uint8_t>(), out_windows.data(), changes.data()},
                  execution);
    results[1].push_back(outs.data);
    fpg::warp({images.view<const uint8_t>(), windows.data(), outs.view<uint8_t>(), out_windows.data(), affine.data()}, execution);
    results[2].push_back(outs.data);
    Images<uint8_t> coded = images;
    fpg::jpeg_round_trip({coded.view<uint8_t>(), {quality.data(), {count}, {}}, planes.data(), planes_at.data()}, execution);
    results[3].push_back(coded.data);
    if (std::accumulate(quality.begin(), quality.end(), 0) == 0) CHECK(coded.data == images.data, context + ": no quality");
  }
  for (const auto& pair : results) CHECK(pair[0] == pair[1], context + ": threads");
}

void fuzz_blend(unsigned seed) {
  Random random(seed);
  const std::string context = "blend, seed " + std::to_string(seed);
  const int count = random.integer(1, 4);
  Images<uint8_t> source = images_of(random, count), background = source;
  for (auto& value : background.data) value = random.byte();
  Images<float> masks{1};
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) masks.add(source.sizes[2 * i], source.sizes[2 * i + 1]);
  std::vector<uint8_t> out(source.data.size());
  bool nearest = false;
  const auto blend_all = [&] {
    fpg::blend({source.view<const uint8_t>(), background.view<const uint8_t>(), masks.view<const float>(), out.data(), nearest});
  };
  const auto blend_with = [&](float value) {
    std::fill(masks.data.begin(), masks.data.end(), value);
    blend_all();
  };
  blend_with(0.0f);
  CHECK(out == background.data, context + ": 0");
  blend_with(kNan);
  CHECK(out == background.data, context + ": NaN");
  blend_with(1.0f);
  CHECK(out == source.data, context + ": 1");
  for (auto& value : masks.data) value = static_cast<float>(random.integer(0, 64)) / 64;  // products are exact
  for (const bool rounds : {false, true}) {
    nearest = rounds;
    blend_all();
    bool right = true;
    for (size_t i = 0; i < out.size(); ++i) {
      const int part = static_cast<int>(64 * masks.data[i / 3]);
      const int exact = part * source.data[i] + (64 - part) * background.data[i];
      right = right && out[i] == (exact + (rounds ? 32 : 0)) / 64;
    }
    CHECK(right, context + (rounds ? ": nearest" : ": truncated"));
  }

  for (auto& value : masks.data) value = random.chance(0.05) ? kNan : static_cast<float>(random.uniform(-0.5, 1.5));
  std::vector<Crop> crops;
  for (int i = 0; i < count; ++i) {
    const int32_t y0 = random.integer(-50, 120), y1 = random.integer(-50, 120), x0 = random.integer(-50, 120);
    crops.push_back({y0, y1, x0, random.integer(-50, 120)});
  }
  const int64_t side = random.chance(0.1) ? 401 : random.integer(1, 60), plane = side * side;
  std::vector<float> resized(static_cast<size_t>(count * 3 * plane), -1.0f), soft(static_cast<size_t>(count * plane), -1.0f);
  fpg::CropArguments crop;
  crop.count = 1, crop.images[0] = source.view<const uint8_t>();
  crop.masks = masks.view<const float>(), crop.crops = crops.data();
  crop.out[0] = {resized.data(), {count, 3, side, side}, {}}, crop.masks_out = {soft.data(), {count, 1, side, side}, {}};
  fpg::crop_resize(crop, {random.integer(1, 3), nullptr});
  bool inside = true;
  for (const float value : resized) inside = inside && value >= 0 && value <= 1;
  for (const float value : soft) inside = inside && !(value < 0) && !(value > 1);
  CHECK(inside, context + ": crops in [0, 1]");
}

void fuzz_guidance(unsigned seed) {
  Random random(seed);
  const std::string context = "guidance, seed " + std::to_string(seed);
  const int64_t batch = random.integer(1, 3), channels = random.integer(1, 4), height = side_of(random), width = side_of(random);
  const std::array<int64_t, 4> shape{batch, channels, height, width}, mask_shape{batch, 1, height, width};
  const auto values = [&](int64_t count) {
    std::vector<float> result(static_cast<size_t>(count));
    for (auto& value : result) value = random.chance(0.3) ? 0.0f : static_cast<float>(random.uniform(-0.1, 1.1));
    return result;
  };
  const int64_t pixels = batch * height * width, elements = pixels * channels;
  std::vector<float> s = values(elements), b = values(elements), f = values(elements), g = values(elements), m = values(pixels);
  std::vector<float> out(s.size());
  std::vector<int64_t> votes(static_cast<size_t>(batch));
  const fpg::Execution execution{random.integer(1, 3), nullptr};
  fpg::magnitude_vote({{g.data(), shape, {}}, {s.data(), shape, {}}, {b.data(), shape, {}}, {votes.data(), {batch}, {}}},
                      execution);
  fpg::magnitude_step({{s.data(), shape, {}},
                       {b.data(), shape, {}},
                       {f.data(), shape, {}},
                       {m.data(), mask_shape, {}},
                       {votes.data(), {batch}, {}},
                       0.1f,
                       {out.data(), shape, {}}},
                      execution);
  bool inside = true;
  for (const float value : out) inside = inside && value >= 0 && value <= 1;
  CHECK(inside, context + ": step in [0, 1]");

  const float fill = random.chance(0.5) ? 0.0f : 1.0f;  // of all masks
  std::fill(m.begin(), m.end(), fill);
  std::vector<float> maps = values(pixels), threshold(static_cast<size_t>(batch));
  if (random.chance(0.3)) maps[0] = kNan;
  std::vector<int64_t> dominant(votes), masked(votes), sum(votes), positive(votes);
  std::vector<uint8_t> remaining(m.size());
  fpg::perception_statistics({{maps.data(), {batch, height, width}, {}},
                              {m.data(), {batch, height, width}, {}},
                              {threshold.data(), {batch}, {}},
                              {dominant.data(), {batch}, {}},
                              {masked.data(), {batch}, {}},
                              {remaining.data(), {batch, height, width}, {}},
                              {sum.data(), {batch}, {}},
                              {positive.data(), {batch}, {}}},
                             execution);
  const int64_t left = std::accumulate(remaining.begin(), remaining.end(), int64_t{0});
  const int64_t all = std::accumulate(masked.begin(), masked.end(), int64_t{0});
  CHECK(all == (fill > 0 ? pixels : 0), context + ": masked");
  CHECK(left == all - std::accumulate(dominant.begin(), dominant.end(), int64_t{0}), context + ": remaining");
}

// A random part of a rectangle, or of an image.
Crop part_of(Random& random, const Crop& whole) {
  const int32_t y0 = random.integer(whole.y0, whole.y1 - 1), x0 = random.integer(whole.x0, whole.x1 - 1);
  const int32_t y1 = random.integer(y0 + 1, whole.y1);
  return {y0, y1, x0, random.integer(x0 + 1, whole.x1)};
}

void fuzz_pairs(unsigned seed) {
  Random random(seed);
  const std::string context = "pairs, seed " + std::to_string(seed);
  const int64_t count = random.integer(1, 4), side = random.integer(1, 50);
  std::vector<fpg::SelfBlendItem> items;
  std::vector<fpg::MaskItem> masks;
  fpg::SelfBlendInput in;
  fpg::MaskLimits& limits = in.masks.limits;
  const auto grow = [](int32_t& limit, int32_t value) { limit = std::max(limit, value); };
  for (int64_t i = 0; i < count; ++i) {
    fpg::SelfBlendItem item{};
    item.height = side_of(random), item.width = side_of(random);
    item.window = part_of(random, {0, item.height, 0, item.width});
    item.warped = part_of(random, item.window), item.coded = part_of(random, item.window);
    item.affine[0] = random.uniform(0.5, 2), item.affine[1] = random.uniform(-20, 20);
    item.affine[2] = random.uniform(0.5, 2), item.affine[3] = random.uniform(-20, 20);
    item.pixels = in.bytes;
    in.bytes += int64_t{3} * item.window.height() * item.window.width();
    for (int32_t* edge : {&item.crop.y0, &item.crop.y1, &item.crop.x0, &item.crop.x1}) *edge = random.integer(-9, 80);
    item.recolors_source = random.integer(0, 1);
    item.quality = random.chance(0.5) ? random.integer(1, 100) : 0;
    fill_color(random, item.color);
    fill_color(random, item.shared);
    fill_resample(random, item.resample);
    items.push_back(item);
    fpg::MaskItem mask = inputs::mask_item(random, item.height, item.width);
    mask.y0 = item.coded.y0, mask.x0 = item.coded.x0;
    grow(limits.height, mask.height), grow(limits.width, mask.width);
    grow(limits.small_height, mask.small_height), grow(limits.small_width, mask.small_width);
    grow(limits.out_height, item.coded.height()), grow(limits.out_width, item.coded.width());
    masks.push_back(mask);
  }
  std::vector<uint8_t> pixels(static_cast<size_t>(in.bytes));
  for (auto& value : pixels) value = random.byte();
  in.windows = pixels.data(), in.items = items.data();
  in.masks.items = masks.data(), in.masks.count = count;
  in.masks.elastic.amplitude = static_cast<float>(random.uniform(0, 30));
  in.masks.elastic.radius = random.integer(0, 15);
  inputs::gaussian(in.masks.elastic.weights, in.masks.elastic.radius, 7);

  const auto elements = static_cast<size_t>(count * side * side);
  const size_t bytes = fpg::self_blend_scratch_bytes(in);
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 3}) {
    std::vector<unsigned char> scratch(bytes * static_cast<size_t>(threads) + 64, 0xFF);
    void* start = scratch.data();
    size_t room = scratch.size();
    start = std::align(64, bytes * static_cast<size_t>(threads), start, room);
    std::vector<float> out(10 * elements, -1.0f);
    const auto image = [&](size_t k) {
      return fpg::TensorView<float, 4>{out.data() + 3 * k * elements, {count, 3, side, side}, {}};
    };
    const fpg::TensorView<float, 4> mask{out.data() + 9 * elements, {count, 1, side, side}, {}};
    fpg::self_blend({in, image(0), image(1), image(2), mask, start, threads}, {threads, nullptr});
    results.push_back(out);
  }
  CHECK(results[0] == results[1], context + ": threads");
  bool inside = true;
  for (const float value : results[0]) inside = inside && value >= 0 && value <= 1;
  CHECK(inside, context + ": in [0, 1]");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string wanted = argc > 1 ? argv[1] : "";
  const bool one = !wanted.empty() && wanted != "random";
  const unsigned given = one ? static_cast<unsigned>(std::strtoul(wanted.c_str(), nullptr, 10)) : 20261127u;
  const unsigned first = wanted == "random" ? std::random_device{}() : given;
  const unsigned rounds = one ? 1 : 40;
  for (unsigned seed = first; seed != first + rounds; ++seed) {
    fuzz_images(seed);
    fuzz_blend(seed);
    fuzz_guidance(seed);
    fuzz_pairs(seed);
  }
  return check::result();
}
