#include "faces.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <openvino/openvino.hpp>
#include <optional>

#include "constants.h"
#include "openvino_core.h"

namespace fpg::runtime {
namespace {

constexpr const char* kDetector = "face_detection_full_range.tflite";
constexpr const char* kLandmarks = "face_landmark.tflite";
constexpr int kSide = 192;  // of both networks' input
constexpr int kGrid = 48;   // anchors of the full-range detector: centres of a 48 x 48 grid, row by row
constexpr size_t kAnchors = size_t{kGrid} * kGrid;
constexpr int kMesh = 468;
constexpr std::array<int, 2> kLeftEye = {33, 133}, kRightEye = {362, 263};
// Points of the mesh that correspond to dlib's points on the lids, nose tip and corners of the mouth (fpg/faces/dlib.py).
constexpr std::array<int, 6> kLeftLids = {33, 160, 158, 133, 153, 144}, kRightLids = {362, 385, 387, 263, 373, 380};
constexpr int kNose = 4, kMouthLeft = 61, kMouthRight = 291;

double sigmoid(double x) { return 1 / (1 + std::exp(-std::clamp(x, -80.0, 80.0))); }

// Boxes and points are float32 in Python: the same roundings keep decisions on the border the same.
// Volatile, because GCC 12 leaves the rounding out where it vectorises two of them.
double single(double value) {
  const volatile float rounded = static_cast<float>(value);
  return static_cast<double>(rounded);
}

Box single(const Box& box) { return {single(box.x0), single(box.y0), single(box.x1), single(box.y1)}; }

// The image fitted into a black square of kSide, and the way back.
struct Letterbox {
  Image square{kSide, kSide};
  double left, top, sx, sy;

  Letterbox(const ImageView& image, double fill) {
    const double scale = fill * kSide / std::max(image.height, image.width);
    const int w = std::max(1, static_cast<int>(std::nearbyint(image.width * scale)));
    const int h = std::max(1, static_cast<int>(std::nearbyint(image.height * scale)));
    const int x = (kSide - w) / 2, y = (kSide - h) / 2;
    const Image inner = scale < 1 ? resize_area(image, h, w) : resize_linear(image, h, w);
    for (int row = 0; row < h; ++row) std::copy_n(inner.row(row), 3 * static_cast<size_t>(w), square.row(y + row) + 3 * x);
    left = x;
    top = y;
    sx = static_cast<double>(image.width) / w;
    sy = static_cast<double>(image.height) / h;
  }

  std::array<double, 2> to_image(double u, double v) const {
    return {(u * kSide - left) * sx - 0.5, (v * kSide - top) * sy - 0.5};
  }
};

// One network with its inference request; the input is filled in place.
class FaceNetwork {
 public:
  // Throws InputError unless the network takes an image of kSide and its outputs have these sizes, largest first.
  FaceNetwork(const std::string& path, std::array<size_t, 2> sizes) {
    try {
      const ov::AnyMap options = {{ov::inference_num_threads.name(), 1},
                                  {ov::hint::inference_precision.name(), ov::element::f32},
                                  {ov::hint::performance_mode.name(), ov::hint::PerformanceMode::LATENCY}};
      request_ = openvino_core().compile_model(openvino_core().read_model(path), "CPU", options).create_infer_request();
    } catch (const std::exception& error) {
      throw InputError(path, std::string("is no face network that OpenVINO can load: ") + error.what());
    }
    const ov::CompiledModel model = request_.get_compiled_model();
    bool fits = model.inputs().size() == 1 && model.outputs().size() == 2 &&
                model.input().get_partial_shape() == ov::PartialShape{1, kSide, kSide, 3} &&
                model.input().get_element_type() == ov::element::f32;
    std::array<size_t, 2> found{};
    for (size_t i = 0; fits && i < 2; ++i) {
      const ov::Output<const ov::Node>& output = model.outputs()[i];
      fits = output.get_partial_shape().is_static() && output.get_element_type() == ov::element::f32;
      if (fits) found[i] = ov::shape_size(output.get_shape());
    }
    if (found[0] < found[1]) std::swap(found[0], found[1]);
    if (!fits || found != sizes)
      throw InputError(path, "is another network than the one that belongs under this name", codes::invalid);
  }

  // Pixels times `factor` plus `offset`; outputs by size, largest first.
  std::pair<const float*, const float*> run(const Image& image, float factor, float offset) {
    float* input = request_.get_input_tensor().data<float>();
    for (size_t i = 0; i < image.data.size(); ++i) input[i] = static_cast<float>(image.data[i]) / factor + offset;
    request_.infer();
    const ov::Tensor first = request_.get_output_tensor(0), second = request_.get_output_tensor(1);
    const bool ordered = first.get_size() >= second.get_size();
    outputs_ = {ordered ? first : second, ordered ? second : first};
    return {outputs_[0].data<const float>(), outputs_[1].data<const float>()};
  }

  size_t size(size_t output) const { return outputs_[output].get_size(); }

 private:
  ov::InferRequest request_;
  std::array<ov::Tensor, 2> outputs_;
};

// From where to where tiles reach so that they cover `length` and overlap by at least this fraction of their side, which is
// `side`, or a little more where one tile less covers it then.
std::vector<std::pair<int, int>> tiles(int length, int side, double overlap) {
  if (length <= side) return {{0, length}};
  const double most = side + static_cast<double>(side) / face_constants().tile_stretch;
  const int gaps = std::max(0, static_cast<int>(std::ceil((length / most - 1) / (1 - overlap))));
  side = std::min(length, std::max(side, static_cast<int>(std::ceil(length / (1 + gaps * (1 - overlap))))));
  std::vector<std::pair<int, int>> reach;
  for (int i = 0; i <= gaps; ++i) {
    const int start = static_cast<int>(std::nearbyint(static_cast<double>(length - side) * i / std::max(1, gaps)));
    reach.emplace_back(start, start + side);
  }
  return reach;
}

// Side of the tiles to search after those of `side` to find faces of `wanted` pixels; nullopt if those were small enough.
std::optional<int> finer(int side, double wanted) {
  const FaceConstants& c = face_constants();
  if (side <= std::max<double>(kSide, c.tile_over_face * wanted)) return std::nullopt;
  const int enough = std::max(kSide, static_cast<int>(c.tile_over_face * wanted / c.tile_grain) * c.tile_grain);
  const int next = (side + c.tile_step - 1) / c.tile_step;
  return next >= 1.5 * enough ? next : enough;
}

Box tight_box(const std::vector<std::array<double, 2>>& points) {
  Box box = {points[0][0], points[0][1], points[0][0], points[0][1]};
  for (const auto& [x, y] : points) box = {std::min(box.x0, x), std::min(box.y0, y), std::max(box.x1, x), std::max(box.y1, y)};
  return single(box);
}

// Yaw and pitch in degrees by the mesh's axes (fpg/faces/geometry.py); depth in pixels as the other two.
std::array<double, 2> pose_of(const std::vector<std::array<double, 2>>& mesh, const std::vector<double>& depth) {
  constexpr int across[][2] = {{33, 263}, {133, 362}, {127, 356}, {234, 454}, {61, 291}, {58, 288}};
  constexpr int down[][2] = {{10, 152}, {151, 175}, {168, 2}};
  using Vector = std::array<double, 3>;
  const auto along = [&](const int (&pair)[2], Vector& sum) {
    const auto a = static_cast<size_t>(pair[0]), b = static_cast<size_t>(pair[1]);
    sum[0] += mesh[b][0] - mesh[a][0];
    sum[1] += mesh[b][1] - mesh[a][1];
    sum[2] += depth[b] - depth[a];
  };
  const auto dot = [](const Vector& a, const Vector& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; };
  Vector x{}, y{};
  for (const auto& pair : across) along(pair, x);
  for (const auto& pair : down) along(pair, y);
  const double length = std::sqrt(dot(x, x));
  for (double& value : x) value /= length;
  const double part = dot(y, x);
  for (size_t i = 0; i < 3; ++i) y[i] -= part * x[i];
  const double height = std::sqrt(dot(y, y));
  for (double& value : y) value /= height;
  const double z = x[0] * y[1] - x[1] * y[0];
  const double degrees = 180 / std::acos(-1.0);
  return {degrees * std::atan2(x[2], std::hypot(x[0], x[1])), -degrees * std::atan2(y[2], z)};
}

FivePoints five_points(const std::vector<std::array<double, 2>>& mesh) {
  const auto at = [&](int i) -> std::array<double, 2> {
    const auto& point = mesh[static_cast<size_t>(i)];
    return {single(point[0]), single(point[1])};
  };
  const auto mean = [&](const std::array<int, 6>& lids) {
    std::array<double, 2> sum{};
    for (const int i : lids) sum = {sum[0] + at(i)[0], sum[1] + at(i)[1]};
    return std::array<double, 2>{sum[0] / 6, sum[1] / 6};
  };
  return {mean(kLeftLids), mean(kRightLids), at(kNose), at(kMouthLeft), at(kMouthRight)};
}

std::array<double, 2> middle(const std::vector<std::array<double, 2>>& points, const std::array<int, 2>& two) {
  const auto &a = points[static_cast<size_t>(two[0])], &b = points[static_cast<size_t>(two[1])];
  return {(a[0] + b[0]) / 2, (a[1] + b[1]) / 2};
}

}  // namespace

double area(const Box& box) { return std::max(box.x1 - box.x0, 0.0) * std::max(box.y1 - box.y0, 0.0); }

double face_size(const Box& box) { return std::sqrt(area(box)); }

std::string too_small(const Box& box, double min_face) {
  return message("face_too_small",
                 {{"size", std::to_string(static_cast<int>(face_size(box)))}, {"min_face", short_number(min_face, 6)}});
}

double intersection_over_union(const Box& a, const Box& b) {
  const double w = std::max(std::min(a.x1, b.x1) - std::max(a.x0, b.x0), 0.0);
  const double h = std::max(std::min(a.y1, b.y1) - std::max(a.y0, b.y0), 0.0);
  const double all = (a.x1 - a.x0) * (a.y1 - a.y0) + (b.x1 - b.x0) * (b.y1 - b.y0) - w * h;
  return w * h / std::max(all, 1e-12);
}

std::vector<Detection> suppress(std::vector<Detection> rest, double threshold) {
  std::stable_sort(rest.begin(), rest.end(), [](const Detection& a, const Detection& b) { return a.score > b.score; });
  std::vector<Detection> merged;
  while (!rest.empty()) {
    Detection mean;
    mean.score = rest[0].score;
    mean.points.assign(rest[0].points.size(), {0, 0});
    const Box best = rest[0].box;
    std::vector<Detection> others;
    double weight = 0;
    for (size_t i = 0; i < rest.size(); ++i) {
      const Detection& d = rest[i];
      if (i > 0 && !(intersection_over_union(best, d.box) > threshold)) {
        others.push_back(d);
        continue;
      }
      weight += d.score;
      mean.box = {mean.box.x0 + d.score * d.box.x0, mean.box.y0 + d.score * d.box.y0, mean.box.x1 + d.score * d.box.x1,
                  mean.box.y1 + d.score * d.box.y1};
      for (size_t k = 0; k < d.points.size(); ++k) {
        mean.points[k][0] += d.score * d.points[k][0];
        mean.points[k][1] += d.score * d.points[k][1];
      }
    }
    mean.box = single({mean.box.x0 / weight, mean.box.y0 / weight, mean.box.x1 / weight, mean.box.y1 / weight});
    for (auto& point : mean.points) point = {single(point[0] / weight), single(point[1] / weight)};
    merged.push_back(std::move(mean));
    rest = std::move(others);
  }
  return merged;
}

std::array<double, 2> Roi::to_image(double u, double v) const {
  const double c = std::cos(angle), s = std::sin(angle), dx = (u - 0.5) * side, dy = (v - 0.5) * side;
  return {dx * c - dy * s + x, dx * s + dy * c + y};
}

Roi roi_around(const Box& box, const std::array<double, 2>& left_eye, const std::array<double, 2>& right_eye, double scale) {
  return {(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2, scale * std::max(box.x1 - box.x0, box.y1 - box.y0),
          std::atan2(right_eye[1] - left_eye[1], right_eye[0] - left_eye[0])};
}

bool crop_upright(const ImageView& image, const Roi& roi, int size, Image& crop, Outside outside) {
  if (!(std::isfinite(roi.x) && std::isfinite(roi.y) && std::isfinite(roi.side) && std::isfinite(roi.angle) && roi.side > 1))
    return false;
  const double reach = roi.side / std::sqrt(2.0) + 2;
  const auto bound = [](double value, int limit) { return static_cast<int>(std::clamp(value, -1.0, limit + 1.0)); };
  const int x0 = std::max(0, bound(roi.x - reach, image.width)),
            x1 = std::min(image.width, bound(roi.x + reach, image.width) + 1);
  const int y0 = std::max(0, bound(roi.y - reach, image.height)),
            y1 = std::min(image.height, bound(roi.y + reach, image.height) + 1);
  if (x0 >= x1 || y0 >= y1) return false;
  ImageView part = image.part(y0, y1, x0, x1);
  Image shrunk;
  double fx = 1, fy = 1;
  if (const double shrink = size / roi.side; shrink < 0.75) {
    const int w = std::max(1, static_cast<int>(std::nearbyint(part.width * shrink)));
    const int h = std::max(1, static_cast<int>(std::nearbyint(part.height * shrink)));
    fx = static_cast<double>(w) / part.width;
    fy = static_cast<double>(h) / part.height;
    shrunk = resize_area(part, h, w);
    part = shrunk;
  }
  // Pixel (x, y) of the crop is the image at the square's ((x + 1/2) / size, (y + 1/2) / size). Python gives three corners to
  // OpenCV, in single precision: the same here, or edges that lie at a half would fall to either side.
  const auto source = [&](double x, double y) -> std::array<double, 2> {
    const auto [px, py] = roi.to_image((x + 0.5) / size, (y + 0.5) / size);
    return {single((px + 0.5 - x0) * fx - 0.5), single((py + 0.5 - y0) * fy - 0.5)};
  };
  const double last = size - 1;
  const auto origin = source(0, 0), right = source(last, 0), bottom = source(0, last);
  const auto step = [&](const std::array<double, 2>& corner, size_t axis) { return (corner[axis] - origin[axis]) / last; };
  const std::array<double, 6> matrix = {step(right, 0), step(bottom, 0), origin[0], step(right, 1), step(bottom, 1), origin[1]};
  crop = warp_affine(part, matrix, size, size, outside);
  return true;
}

struct FaceFinder::Networks {
  FaceNetwork detector;
  FaceNetwork landmarks;

  // The detections of one pass over an image that fills this fraction of the network's input.
  std::vector<Detection> look(const ImageView& image, double fill = 1.0) {
    const Letterbox box(image, fill);
    const auto [regression, logits] = detector.run(box.square, 127.5F, -1.0F);
    const size_t anchors = detector.size(1), values = detector.size(0) / anchors;
    std::vector<Detection> found;
    for (size_t i = 0; i < anchors; ++i) {
      const double score = sigmoid(logits[i]);
      if (!(score >= face_constants().detection_score)) continue;
      const float* r = regression + i * values;
      const double ax = (static_cast<double>(i % kGrid) + 0.5) / kGrid, ay = (static_cast<double>(i / kGrid) + 0.5) / kGrid;
      const double cx = r[0] / kSide + ax, cy = r[1] / kSide + ay, hx = r[2] / kSide / 2, hy = r[3] / kSide / 2;
      if (!(hx > 0 && hy > 0)) continue;
      const auto low = box.to_image(cx - hx, cy - hy), high = box.to_image(cx + hx, cy + hy);
      Detection d;
      d.box = single({low[0], low[1], high[0], high[1]});
      d.score = score;
      for (size_t k = 4; k + 1 < values; k += 2) {
        const auto point = box.to_image(r[k] / kSide + ax, r[k + 1] / kSide + ay);
        d.points.push_back({single(point[0]), single(point[1])});
      }
      found.push_back(std::move(d));
    }
    return found;
  }

  std::vector<Detection> look_at_tiles(const ImageView& image, int side, double overlap) {
    std::vector<Detection> found;
    for (const auto& [top, bottom] : tiles(image.height, side, overlap)) {
      for (const auto& [left, right] : tiles(image.width, side, overlap)) {
        for (Detection d : look(image.part(top, bottom, left, right))) {
          d.box = single({d.box.x0 + left, d.box.y0 + top, d.box.x1 + left, d.box.y1 + top});
          for (auto& point : d.points) point = {single(point[0] + left), single(point[1] + top)};
          found.push_back(std::move(d));
        }
      }
    }
    return found;
  }

  // Searches the whole image; if nothing is found, overlapping tiles of half the longer side; then the image at half size, for a
  // face that fills it.
  std::vector<Detection> detect(const ImageView& image) {
    std::vector<Detection> found = look(image);
    const int side = (std::max(image.height, image.width) + 1) / 2;
    if (found.empty() && side >= kSide) found = look_at_tiles(image, side, 0.5);
    return found.empty() ? look(image, 0.5) : found;
  }

  std::optional<FoundFace> place(const ImageView& image, const Detection& detection) {
    const FaceConstants& c = face_constants();
    Roi roi = roi_around(detection.box, detection.points[0], detection.points[1], c.crop_scale);
    std::vector<std::array<double, 2>> mesh(kMesh);
    std::vector<double> depth(kMesh);
    for (int pass = 0; pass < c.passes; ++pass) {
      Image crop;
      if (!crop_upright(image, roi, kSide, crop)) return std::nullopt;
      const auto [points, presence] = landmarks.run(crop, 255.0F, 0.0F);
      if (sigmoid(presence[0]) < c.presence) return std::nullopt;
      for (size_t i = 0; i < kMesh; ++i) {
        mesh[i] = roi.to_image(points[3 * i] / static_cast<double>(kSide), points[3 * i + 1] / static_cast<double>(kSide));
        depth[i] = points[3 * i + 2] / static_cast<double>(kSide) * roi.side;
      }
      roi = roi_around(tight_box(mesh), middle(mesh, kLeftEye), middle(mesh, kRightEye), c.crop_scale);
    }
    return FoundFace{tight_box(mesh), five_points(mesh), pose_of(mesh, depth), detection.box};
  }

  // Adds the faces of the detections that are not among `faces` yet.
  void add(const ImageView& image, std::vector<Detection> detections, std::vector<FoundFace>& faces) {
    const FaceConstants& c = face_constants();
    const auto overlaps = [&](const Box& box) {
      return [&](const Box& other) { return intersection_over_union(box, other) > c.same_face_overlap; };
    };
    std::vector<Box> before;  // found in coarser tiles: another detection of such a face would have the same landmarks
    for (const FoundFace& face : faces) before.push_back(face.detector_box);
    for (const Detection& detection : suppress(std::move(detections), c.detection_overlap)) {
      if (std::any_of(before.begin(), before.end(), overlaps(detection.box))) continue;
      const std::optional<FoundFace> face = place(image, detection);
      if (!face) continue;
      const bool known =
          std::any_of(faces.begin(), faces.end(), [&](const FoundFace& other) { return overlaps(face->box)(other.box); });
      if (!known) faces.push_back(*face);
    }
  }
};

FaceFinder::FaceFinder(const std::string& folder, double min_face)
    : networks_(new Networks{FaceNetwork(folder + "/" + kDetector, {16 * kAnchors, kAnchors}),
                             FaceNetwork(folder + "/" + kLandmarks, {3 * kMesh, 1})}),
      min_face_(min_face) {}
FaceFinder::~FaceFinder() = default;
FaceFinder::FaceFinder(FaceFinder&&) noexcept = default;
FaceFinder& FaceFinder::operator=(FaceFinder&&) noexcept = default;

std::vector<FoundFace> FaceFinder::find(const Image& image) {
  std::vector<FoundFace> faces;
  networks_->add(image, networks_->detect(image), faces);
  const int longest = std::max(image.height, image.width);
  std::optional<int> side = faces.empty() ? (longest + 1) / 2 : longest;
  const auto wanted = [&] {  // size of the smallest face to look for
    double largest = 0;
    for (const FoundFace& face : faces) largest = std::max(largest, face_size(face.box));
    return std::max(min_face_, face_constants().least_size_fraction * largest);
  };
  while ((side = finer(*side, wanted()))) networks_->add(image, networks_->look_at_tiles(image, *side, 0.25), faces);
  std::stable_sort(faces.begin(), faces.end(), [](const FoundFace& a, const FoundFace& b) { return area(a.box) > area(b.box); });
  return faces;
}

}  // namespace fpg::runtime
