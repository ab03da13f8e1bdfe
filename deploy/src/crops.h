// What the detector sees of a face, by the crop rule of its sidecar: the C++ twin of fpg/common/crops.py.
#pragma once

#include <string>

#include "faces.h"
#include "image.h"

namespace fpg::runtime {

// The rotated square of the aligned crop: the template of GenD (WACV 2026), moved, rotated and scaled onto a face's five points
// with least squares. `rejected` says why there is none, or stays empty.
Roi aligned_square(const FivePoints& points, int height, int width, std::string& rejected);

// Writes the network's input for one face, float32 [3, size, size] in [0, 1]. Returns why the rule ("evaluation", "aligned")
// cannot cut this face, or an empty text. Throws for a box that is not finite, empty or outside the image.
std::string cut_face(const Image& image, const FoundFace& face, const std::string& rule, int size, float* out);

}  // namespace fpg::runtime
