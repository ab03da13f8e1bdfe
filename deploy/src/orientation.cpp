#include "orientation.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <sstream>
#include <string>

namespace fpg::runtime {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kSnap = 1.0;  // degrees within which a matrix is a quarter turn
// EXIF's number -> rows and columns exchanged, then mirrored left-right, then top-bottom.
constexpr bool kFlags[9][3] = {{}, {0, 0, 0}, {0, 1, 0}, {0, 1, 1}, {0, 0, 1}, {1, 0, 0}, {1, 1, 0}, {1, 1, 1}, {1, 0, 1}};

int number_of(bool swap, bool across, bool down) {
  for (int number = 1; number <= 8; ++number) {
    if (kFlags[number][0] == swap && kFlags[number][1] == across && kFlags[number][2] == down) return number;
  }
  return 1;
}

// `bytes` of a number at a place; false where the data end before.
bool read_number(std::istream& data, std::streamoff at, int bytes, bool little, uint64_t& value) {
  uint8_t raw[8] = {};
  data.clear();
  data.seekg(at);
  if (!data.read(reinterpret_cast<char*>(raw), bytes)) return false;
  value = 0;
  for (int i = 0; i < bytes; ++i) value |= static_cast<uint64_t>(raw[i]) << 8 * (little ? i : bytes - 1 - i);
  return true;
}

}  // namespace

int exif_orientation(std::istream& data) {
  char start[6] = {};
  std::streamoff base = 0;
  while (data.read(start, 6) && std::memcmp(start, "Exif\0\0", 6) == 0) base += 6;  // some write it twice
  data.clear();
  data.seekg(base);
  data.read(start, 4);
  const bool little = start[0] == 'I' && start[1] == 'I', big = start[little ? 2 : 3] == '+';
  const std::string magic = little ? "II" : "MM", version = big ? "+" : "*";
  if (std::string(start, 4) != magic + (little ? version + '\0' : '\0' + version)) return 1;
  // BigTIFF has places of 8 bytes where TIFF has 4.
  const int place = big ? 8 : 4, size = 4 + 2 * place;
  uint64_t directory = 0, entries = 0;
  if (!read_number(data, base + (big ? 8 : 4), place, little, directory) || directory > INT32_MAX) return 1;
  const std::streamoff first = base + static_cast<std::streamoff>(directory);
  if (!read_number(data, first, big ? 8 : 2, little, entries)) return 1;
  for (uint64_t i = 0; i < entries && i <= UINT16_MAX; ++i) {
    const std::streamoff entry = first + (big ? 8 : 2) + size * static_cast<std::streamoff>(i);
    uint64_t tag = 0, kind = 0, count = 0, last = 0, value = 0;
    if (!read_number(data, entry + 4 + place, place, little, last) || !read_number(data, entry, 2, little, tag)) return 1;
    if (tag != 0x0112) continue;
    read_number(data, entry + 2, 2, little, kind);
    read_number(data, entry + 4, place, little, count);
    if (count != 1 || (kind != 3 && kind != 4)) return 1;  // SHORT as the standard has it, LONG as some write
    read_number(data, entry + 4 + place, kind == 3 ? 2 : 4, little, value);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

int exif_orientation(const uint8_t* data, size_t size) {
  std::istringstream stream(std::string(reinterpret_cast<const char*>(data), size));
  return exif_orientation(stream);
}

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
  // A black border of one pixel stands for the black ground around the image.
  Image framed(image.height + 2, image.width + 2);
  for (int y = 0; y < image.height; ++y) std::copy_n(image.row(y), 3 * static_cast<size_t>(image.width), framed.row(y + 1) + 3);
  return warp_affine(framed, {warp[0], warp[1], warp[2] + 1, warp[3], warp[4], warp[5] + 1}, height, width);
}

}  // namespace fpg::runtime
