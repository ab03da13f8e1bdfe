// MediaPipe's face detector and face mesh, run by OpenVINO: the C++ twin of fpg/faces (mediapipe.py, geometry.py, analyzer.py).
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "fpg_runtime/runtime.h"
#include "image.h"

namespace fpg::runtime {

struct Detection {
  Box box;
  double score = 0;
  std::vector<std::array<double, 2>> points;
};

double area(const Box& box);

// The size of a face in pixels, and what is said of one below `min_face` (fpg/faces/sizes.py).
double face_size(const Box& box);
std::string too_small(const Box& box, double min_face);

double intersection_over_union(const Box& a, const Box& b);

// Weighted non-maximum suppression, best score first (BlazeFace, arXiv 1907.05047).
std::vector<Detection> suppress(std::vector<Detection> detections, double threshold);

// A square in the image, rotated by `angle` (radians, clockwise as seen).
struct Roi {
  double x = 0, y = 0, side = 0, angle = 0;
  std::array<double, 2> to_image(double u, double v) const;  // from units of the side to pixels
};

Roi roi_around(const Box& box, const std::array<double, 2>& left_eye, const std::array<double, 2>& right_eye, double scale);

// Cuts a rotated square out of an image, scaled to size x size; false if it is degenerate or lies outside the image.
bool crop_upright(const ImageView& image, const Roi& roi, int size, Image& crop, Outside outside = Outside::kEdge);

// Left eye, right eye, nose, left and right corner of the mouth, as seen in an upright image; in pixels.
using FivePoints = std::array<std::array<double, 2>, 5>;

struct FoundFace {
  Box box;  // around the mesh
  FivePoints points{};
  std::array<double, 2> pose{};  // yaw and pitch in degrees, by fpg/faces/geometry.py
  Box detector_box{};
};

// Finds the faces of an image: in the whole first, then in ever smaller tiles while a face that counts may have been missed
// (fpg/faces/analyzer.py). Not thread-safe.
class FaceFinder {
 public:
  // folder: of the two .tflite files; min_face: size in pixels down to which faces are searched for. Throws InputError.
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
