// Images in memory, and the few operations that the face networks need; they match OpenCV to within one level.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace fpg::runtime {

// uint8 RGB, interleaved, rows from the top.
struct Image {
  int height = 0;
  int width = 0;
  std::vector<uint8_t> data;

  Image() = default;
  Image(int h, int w) : height(h), width(w), data(3 * static_cast<size_t>(h) * static_cast<size_t>(w)) {}
  const uint8_t* row(int y) const { return data.data() + 3 * static_cast<size_t>(y) * static_cast<size_t>(width); }
  uint8_t* row(int y) { return data.data() + 3 * static_cast<size_t>(y) * static_cast<size_t>(width); }
};

// A rectangle of an image that it does not own.
struct ImageView {
  const uint8_t* data = nullptr;
  int height = 0;
  int width = 0;
  int64_t stride = 0;  // bytes from row to row

  ImageView() = default;
  ImageView(const Image& image)  // NOLINT: implicit, a view of the whole image
      : data(image.data.data()), height(image.height), width(image.width), stride(3 * static_cast<int64_t>(image.width)) {}
  ImageView part(int y0, int y1, int x0, int x1) const {
    ImageView view;
    view.data = data + y0 * stride + 3 * static_cast<int64_t>(x0);
    view.height = y1 - y0;
    view.width = x1 - x0;
    view.stride = stride;
    return view;
  }
  const uint8_t* row(int y) const { return data + y * stride; }
};

// As cv2.resize with INTER_AREA when shrinking: each pixel is the mean over the area it covers.
Image resize_area(const ImageView& image, int height, int width);

// As cv2.resize with INTER_LINEAR: pixel centres, no antialiasing.
Image resize_linear(const ImageView& image, int height, int width);

// What is outside an image: its border pixels, repeated, or black.
enum class Outside { kEdge, kBlack };

// As cv2.warpAffine with WARP_INVERSE_MAP, INTER_LINEAR and BORDER_REPLICATE or BORDER_CONSTANT: pixel (x, y) of the result is
// the image at (m[0] x + m[1] y + m[2], m[3] x + m[4] y + m[5]).
Image warp_affine(const ImageView& image, const std::array<double, 6>& m, int height, int width,
                  Outside outside = Outside::kEdge);

// Quarter turns counter-clockwise.
Image rotated(const Image& image, int turns);

}  // namespace fpg::runtime
