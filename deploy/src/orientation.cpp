#include "orientation.h"

#include <algorithm>
#include <cmath>

namespace fpg::runtime {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kSnap = 1.0;  // degrees within which a matrix is a quarter turn
// EXIF's orientation -> rows and columns exchanged, then mirrored left-right, then top-bottom.
constexpr bool kFlags[9][3] = {{}, {0, 0, 0}, {0, 1, 0}, {0, 1, 1}, {0, 0, 1}, {1, 0, 0}, {1, 1, 0}, {1, 1, 1}, {1, 0, 1}};

int number_of(bool swap, bool across, bool down) {
  for (int number = 1; number <= 8; ++number) {
    if (kFlags[number][0] == swap && kFlags[number][1] == across && kFlags[number][2] == down) return number;
  }
  return 1;
}

}  // namespace

Image upright(const Image& image, int orientation) {
  if (orientation == 1) return image;
  const bool swap = kFlags[orientation][0], across = kFlags[orientation][1], down = kFlags[orientation][2];
  Image result(swap ? image.width : image.height, swap ? image.height : image.width);
  for (int y = 0; y < result.height; ++y) {
    uint8_t* to = result.row(down ? result.height - 1 - y : y);
    for (int x = 0; x < result.width; ++x) {
      const uint8_t* from = swap ? image.row(x) + 3 * y : image.row(y) + 3 * x;
      std::copy_n(from, 3, to + 3 * (across ? result.width - 1 - x : x));
    }
  }
  return result;
}

Turn matrix_turn(const int32_t* matrix) {
  double a = matrix[0], b = matrix[1], c = matrix[3], d = matrix[4];
  const double first = std::hypot(a, b), second = std::hypot(c, d);
  if (!(first > 0 && second > 0) || std::abs(a * d - b * c) < 1e-3 * first * second) return {};
  a /= first;
  b /= first;
  c /= second;
  d /= second;
  const double least = std::cos(kSnap * kPi / 180);
  if (std::abs(a) >= least && std::abs(d) >= least) return {number_of(false, a < 0, d < 0), {a, b, c, d}};
  if (std::abs(b) >= least && std::abs(c) >= least) return {number_of(true, c < 0, b < 0), {a, b, c, d}};
  return {std::nullopt, {a, b, c, d}};
}

std::array<int, 2> turned_size(int height, int width, const std::array<double, 4>& part) {
  const auto length = [](double value) { return std::max(1, static_cast<int>(std::nearbyint(value))); };
  return {length(std::abs(part[1]) * width + std::abs(part[3]) * height),
          length(std::abs(part[0]) * width + std::abs(part[2]) * height)};
}

Image turned(const Image& image, const std::array<double, 4>& part) {
  const auto [height, width] = turned_size(image.height, image.width, part);
  const auto [a, b, c, d] = part;
  const double determinant = a * d - b * c;
  const std::array<double, 4> inverse = {d / determinant, -c / determinant, -b / determinant, a / determinant};
  const double middle_x = (width - 1) / 2.0, middle_y = (height - 1) / 2.0;
  const std::array<double, 6> warp = {
      inverse[0], inverse[1], (image.width - 1) / 2.0 - inverse[0] * middle_x - inverse[1] * middle_y,
      inverse[2], inverse[3], (image.height - 1) / 2.0 - inverse[2] * middle_x - inverse[3] * middle_y};
  // A black border of one pixel stands for the black background around the image.
  Image framed(image.height + 2, image.width + 2);
  for (int y = 0; y < image.height; ++y) std::copy_n(image.row(y), 3 * static_cast<size_t>(image.width), framed.row(y + 1) + 3);
  return warp_affine(framed, {warp[0], warp[1], warp[2] + 1, warp[3], warp[4], warp[5] + 1}, height, width);
}

}  // namespace fpg::runtime
