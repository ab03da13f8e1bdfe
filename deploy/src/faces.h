// MediaPipe's face detector and face mesh, run by OpenVINO: the C++ twin of fpg/faces (mediapipe.py, geometry.py, analyzer.py).
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "image.h"

namespace fpg::runtime {

using Box = std::array<double, 4>;  // x0, y0, x1, y1 in pixels

struct Detection {
  Box box{};
  double score = 0;
  std::vector<std::array<double, 2>> points;
};

constexpr double kAreaShare = 0.5;  // a face counts from this share of the largest box of its frame on

double area(const Box& box);
double face_size(const Box& box);  // the root of its area: fpg/faces/sizes.py
double intersection_over_union(const Box& a, const Box& b);

// Weighted non-maximum suppression, best score first (BlazeFace, arXiv 1907.05047).
std::vector<Detection> suppress(std::vector<Detection> detections, double threshold);

// A square in the image, turned by `angle` (radians, clockwise as seen).
struct Roi {
  double x = 0, y = 0, side = 0, angle = 0;
  std::array<double, 2> to_image(double u, double v) const;  // from units of the side to pixels
};

Roi roi_around(const Box& box, const std::array<double, 2>& left_eye, const std::array<double, 2>& right_eye, double scale);

// Cuts a turned square out of an image to size x size; false when it is degenerate or does not meet the image.
bool crop_upright(const ImageView& image, const Roi& roi, int size, Image& crop, Outside outside = Outside::kEdge);

// Left eye, right eye, nose, left and right corner of the mouth, as seen in an upright image; in pixels.
using FivePoints = std::array<std::array<double, 2>, 5>;

struct FoundFace {
  Box box{};  // around the mesh
  FivePoints points{};
  std::array<double, 2> pose{};  // yaw and pitch in degrees, by fpg/faces/geometry.py
  Box detector_box{};
};

// Finds the faces of an image: a look at the whole, then at finer and finer tiles while a face that counts might have gone unseen
// (fpg/faces/analyzer.py). Not thread-safe.
class FaceFinder {
 public:
  // folder: of the two .tflite files; min_face: size in pixels down to which faces are looked for. Throws InputError.
  FaceFinder(const std::string& folder, double min_face);
  ~FaceFinder();
  FaceFinder(FaceFinder&&) noexcept;
  FaceFinder& operator=(FaceFinder&&) noexcept;

  std::vector<FoundFace> find(const Image& image);  // largest box first

 private:
  struct Networks;
  std::unique_ptr<Networks> networks_;
  double min_face_;
};

}  // namespace fpg::runtime
