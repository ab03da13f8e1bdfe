// The image operations in C++, for the sanitizers: odd sizes, single pixels, windows and crops outside the image, and errors.
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "blend/blend.h"
#include "check.h"
#include "color/color.h"
#include "common/error.h"
#include "crop/crop.h"
#include "magnitude/magnitude.h"
#include "resample/resample.h"
#include "warp/warp.h"

namespace {

// Exactly as long as its images, so that the sanitizers notice reads past the end.
template <class T>
struct Batch {
  std::vector<int32_t> sizes;
  std::vector<int64_t> offsets;
  std::vector<T> data;
  int channels;
  int32_t height = 0, width = 0;

  Batch(const std::vector<std::array<int32_t, 2>>& shapes, int count) : channels(count) {
    int64_t total = 0;
    for (const auto& s : shapes) {
      offsets.push_back(total);
      sizes.insert(sizes.end(), {s[0], s[1]});
      height = std::max(height, s[0]);
      width = std::max(width, s[1]);
      total += int64_t{s[0]} * s[1] * count;
    }
    data.resize(static_cast<size_t>(total));
  }

  template <class U>
  fpg::RaggedView<U> view() {
    return {data.data(), offsets.data(), sizes.data(), static_cast<int64_t>(offsets.size()), channels, height, width, {}};
  }
};

const std::vector<std::array<int32_t, 2>> kShapes{{1, 1}, {1, 9}, {7, 1}, {33, 41}, {5, 300}, {2, 2}};

Batch<uint8_t> random_images(std::mt19937& generator) {
  Batch<uint8_t> batch(kShapes, 3);
  for (auto& v : batch.data) v = static_cast<uint8_t>(generator() & 255);
  return batch;
}

void run(unsigned seed, int threads) {
  std::mt19937 generator(seed);
  std::uniform_int_distribution<int32_t> place(-40, 340);
  const auto items = kShapes.size();
  Batch<uint8_t> images = random_images(generator), other = random_images(generator), out(kShapes, 3);
  const fpg::Execution execution{threads, nullptr};
  const std::string context = "seed " + std::to_string(seed);

  std::vector<float> colors, resampling;
  std::vector<double> affine;
  std::vector<fpg::Window> windows, out_windows;
  std::vector<fpg::Crop> crops;
  for (size_t i = 0; i < items; ++i) {
    colors.insert(colors.end(), {5, -9, 20, 1, 179, -1, 0, 1.1f, -13});
    const auto kind = generator() % 4;
    resampling.insert(resampling.end(), {kind == 0 ? 2.0f : kind == 1 ? 4.0f : 0.0f, kind == 2 ? -0.3f : 0.0f, 3.4f});
    affine.insert(affine.end(), {0.97, place(generator) / 9.0, 1.04, place(generator) / 9.0});
    windows.push_back({place(generator), place(generator), 1 + std::abs(place(generator)), 1 + std::abs(place(generator))});
    out_windows.push_back({place(generator), place(generator), windows.back().full_height, windows.back().full_width});
    crops.push_back({place(generator), place(generator), place(generator), place(generator)});
  }
  affine[1] = std::numeric_limits<double>::quiet_NaN();
  affine[4] = 0;

  fpg::change_color({images.view<const uint8_t>(), colors.data(), out.data.data()}, execution);
  fpg::resample({images.view<const uint8_t>(), windows.data(), out.view<uint8_t>(), out_windows.data(), resampling.data()},
                execution);
  fpg::warp({images.view<const uint8_t>(), windows.data(), out.view<uint8_t>(), out_windows.data(), affine.data()}, execution);

  Batch<float> masks(kShapes, 1);
  std::uniform_real_distribution<float> uniform(-0.5f, 1.5f);
  for (auto& v : masks.data) v = uniform(generator);
  masks.data[0] = std::numeric_limits<float>::quiet_NaN();
  fpg::blend({images.view<const uint8_t>(), other.view<const uint8_t>(), masks.view<const float>(), out.data.data()}, execution);
  CHECK(out.data[0] == other.data[0], context + ": NaN blends nothing in");

  constexpr int64_t kSide = 131;
  std::vector<float> first(items * 3 * kSide * kSide, -1.0f), second = first, soft(items * kSide * kSide, -1.0f);
  fpg::CropArguments crop;
  crop.count = 2;
  crop.images[0] = images.view<const uint8_t>();
  crop.images[1] = other.view<const uint8_t>();
  crop.masks = masks.view<const float>();
  crop.crops = crops.data();
  const auto n = static_cast<int64_t>(items);
  crop.out[0] = {first.data(), {n, 3, kSide, kSide}, {}};
  crop.out[1] = {second.data(), {n, 3, kSide, kSide}, {}};
  crop.masks_out = {soft.data(), {n, 1, kSide, kSide}, {}};
  fpg::crop_resize(crop, execution);
  bool inside = true;
  for (const float v : first) inside = inside && v >= 0 && v <= 1;
  for (const float v : second) inside = inside && v >= 0 && v <= 1;
  CHECK(inside, context + ": every pixel written, in [0, 1]");
}

void magnitude() {
  const std::array<int64_t, 4> shape{2, 3, 5, 7}, mask_shape{2, 1, 5, 7};
  std::vector<float> s(210, 0.75f), b(210, 0.25f), f(210, 0.5f), g(210, 1.0f), m(70, 0.5f), out(210);
  for (size_t i = 105; i < 210; ++i) g[i] = -1.0f;
  std::vector<int64_t> votes(2);
  fpg::magnitude_vote({{g.data(), shape, {}}, {s.data(), shape, {}}, {b.data(), shape, {}}, {votes.data(), {2}, {}}});
  CHECK(votes[0] == 105 && votes[1] == -105, "votes");
  fpg::magnitude_step({{s.data(), shape, {}},
                       {b.data(), shape, {}},
                       {f.data(), shape, {}},
                       {m.data(), mask_shape, {}},
                       {votes.data(), {2}, {}},
                       0.1f,
                       {out.data(), shape, {}}});
  CHECK(std::fabs(out[0] - 0.525f) < 1e-6f && std::fabs(out[209] - 0.475f) < 1e-6f, "step");
}

void errors() {
  Batch<uint8_t> images(kShapes, 3), grey(kShapes, 1);
  const auto message = [](const auto& call) { return check::message<fpg::InvalidArgument>(call); };
  CHECK(message([&] { fpg::change_color({grey.view<const uint8_t>()}); }) == "images: expected 3 channels, got 1", "channels");
  CHECK(message([&] { fpg::change_color({images.view<const uint8_t>(), nullptr, images.data.data()}); }) ==
            "changes: expected data, got a null pointer",
        "null");
  CHECK(
      message([&] { fpg::change_color({images.view<const uint8_t>()}, {0, nullptr}); }) == "threads: expected at least 1, got 0",
      "threads");
  CHECK(message([&] { fpg::crop_resize({}); }) == "images: expected 1 to 4, got 0", "count");
  if (!fpg::build_info().cuda) {  // says so itself, and what to do
    auto on_gpu = images.view<const uint8_t>();
    on_gpu.device = {fpg::DeviceType::cuda, 0};
    const std::vector<float> changes(kShapes.size() * fpg::kColorFields);
    CHECK(check::message<fpg::DeviceError>([&] {
            fpg::change_color({on_gpu, changes.data(), images.data.data()});
          }).rfind("fpg was built without CUDA", 0) == 0,
          "without CUDA");
  }
}

}  // namespace

int main() {
  for (unsigned seed = 0; seed < 12; ++seed) run(seed, 1 + static_cast<int>(seed % 3));
  magnitude();
  errors();
  return check::result();
}
