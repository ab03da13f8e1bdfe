#include "crops.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <stdexcept>

#include "constants.h"
#include "crop/crop.h"

namespace fpg::runtime {
namespace {

// Margins of an eighth of the box on each side.
Crop detection_crop(const Box& box, int height, int width) {
  const double w = box.x1 - box.x0, h = box.y1 - box.y0;
  if (!(std::isfinite(box.x0) && std::isfinite(box.y0) && std::isfinite(box.x1) && std::isfinite(box.y1) && w > 0 && h > 0))
    throw std::runtime_error("box: expected finite x0 < x1 and y0 < y1");
  const auto low = [](double value) { return static_cast<int32_t>(std::max(0.0, std::trunc(value))); };
  const auto high = [](double value, int limit) { return static_cast<int32_t>(std::min<double>(limit, std::trunc(value) + 1)); };
  const Crop crop = {low(box.y0 - h / 8), high(box.y1 + h / 8, height), low(box.x0 - w / 8), high(box.x1 + w / 8, width)};
  if (crop.empty()) throw std::runtime_error("box: expected to meet the image");
  return crop;
}

void cut_box(const Image& image, const Box& box, int size, float* out) {
  const Crop crop = detection_crop(box, image.height, image.width);
  const int64_t offset = 0;
  const std::array<int32_t, 2> sizes = {image.height, image.width};
  CropArguments arguments;
  arguments.images[0] = {image.data.data(), &offset, sizes.data(), 1, 3, image.height, image.width, {}};
  arguments.count = 1;
  arguments.crops = &crop;
  arguments.out[0] = {out, {1, 3, size, size}, {}};
  crop_resize(arguments);
}

}  // namespace

Roi aligned_square(const FivePoints& points, int height, int width, std::string& rejected) {
  const FaceConstants& c = face_constants();
  std::array<double, 2> middle{}, centre{};
  for (size_t i = 0; i < points.size(); ++i) {
    const auto [x, y] = points[i];
    if (!(0 <= x && x <= width - 1 && 0 <= y && y <= height - 1)) {
      rejected = message("aligned_cut_off", {{"point", c.aligned_names[i]}});
      return {};
    }
    for (size_t k = 0; k < 2; ++k) {
      middle[k] += (c.aligned_points[i][k] - 0.5) / c.aligned_scale / 5;
      centre[k] += points[i][k] / 5;
    }
  }
  double along = 0, across = 0, spread = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    const double tx = (c.aligned_points[i][0] - 0.5) / c.aligned_scale - middle[0];
    const double ty = (c.aligned_points[i][1] - 0.5) / c.aligned_scale - middle[1];
    const double px = points[i][0] - centre[0], py = points[i][1] - centre[1];
    along += tx * px + ty * py;
    across += tx * py - ty * px;
    spread += tx * tx + ty * ty;
  }
  along /= spread;
  across /= spread;
  const double side = std::hypot(along, across);
  if (side < c.smallest_aligned) {
    rejected = message("aligned_too_small", {{"side", std::to_string(static_cast<int>(std::nearbyint(side)))},
                                             {"least", std::to_string(static_cast<int>(c.smallest_aligned))}});
    return {};
  }
  return {centre[0] - along * middle[0] + across * middle[1], centre[1] - across * middle[0] - along * middle[1], side,
          std::atan2(across, along)};
}

std::string cut_face(const Image& image, const FoundFace& face, const std::string& rule, int size, float* out) {
  if (rule != "aligned") {
    cut_box(image, face.box, size, out);
    return "";
  }
  std::string rejected;
  const Roi roi = aligned_square(face.points, image.height, image.width, rejected);
  if (!rejected.empty()) return rejected;
  Image crop;
  if (!crop_upright(image, roi, size, crop, Outside::kBlack)) throw std::runtime_error("face: expected to meet the image");
  const auto pixels = static_cast<size_t>(size) * static_cast<size_t>(size);
  for (size_t i = 0; i < pixels; ++i) {
    for (size_t c = 0; c < 3; ++c) out[c * pixels + i] = static_cast<float>(crop.data[3 * i + c]) / 255.0F;
  }
  return "";
}

}  // namespace fpg::runtime
