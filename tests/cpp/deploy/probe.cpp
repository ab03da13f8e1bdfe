// Runs one of the runtime's image operations on raw bytes from the standard input; the Python tests compare it with OpenCV and
// PyAV:
//
//   probe area H W h w              uint8 [H, W, 3] -> uint8 [h, w, 3]
//   probe linear H W h w
//   probe warp H W h w m0 ... m5
//   probe upright H W side x y s a  the face networks' crop of a rotated square
//   probe aligned H W side x0 y0 ... x4 y4  float32 [3, side, side] of the aligned crop, or its reason on the standard error
//   probe faces MODELS H W          of each face its box, the detector's, and five points, in hexadecimal floating point
//   probe frames FILE N|all         decoded frames: int32 height, int32 width, pixels, each
//   probe image FILE
//   probe sha256                    hexadecimal

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "crops.h"
#include "faces.h"
#include "image.h"
#include "sha256.h"
#include "video.h"

namespace {

using namespace fpg::runtime;

std::string standard_input() { return {std::istreambuf_iterator<char>(std::cin), {}}; }

Image input(int height, int width) {
  Image image(height, width);
  const std::string bytes = standard_input();
  if (bytes.size() != image.data.size()) throw std::runtime_error("another number of bytes than the sizes say");
  image.data.assign(bytes.begin(), bytes.end());
  return image;
}

void write(const Image& image, bool with_size) {
  const int32_t size[2] = {image.height, image.width};
  if (with_size) std::fwrite(size, sizeof(int32_t), 2, stdout);
  std::fwrite(image.data.data(), 1, image.data.size(), stdout);
}

int run(const std::vector<std::string>& a) {
  const auto whole = [&](size_t i) { return std::atoi(a.at(i).c_str()); };
  const auto real = [&](size_t i) { return std::atof(a.at(i).c_str()); };
  const std::string& what = a.at(0);
  Notes notes;
  if (what == "sha256") {
    std::cout << sha256(standard_input());
  } else if (what == "image") {
    write(read_image(a.at(1), notes), true);
  } else if (what == "frames") {
    Options options;
    options.frames = a.at(2) == "all" ? 0 : whole(2);
    if (a.size() > 3) options.decode = a[3];
    std::vector<Image> images;
    const auto take = [&](Frame frame) {
      images.push_back(std::move(frame.image));
      return true;
    };
    try {
      read_input(a.at(1), options, take, notes);
    } catch (const FrameCountError& error) {  // the codec hides frames
      images.clear();
      read_input(a.at(1), options, take, notes, {}, error.decoded());
    }
    for (const Image& image : images) write(image, true);
  } else if (what == "faces") {
    for (const FoundFace& face : FaceFinder(a.at(1), 32).find(input(whole(2), whole(3)))) {
      for (const Box& box : {face.box, face.detector_box}) std::printf("%a %a %a %a ", box.x0, box.y0, box.x1, box.y1);
      std::printf("\n");
    }
  } else {
    const Image image = input(whole(1), whole(2));
    if (what == "area") {
      write(resize_area(image, whole(3), whole(4)), false);
    } else if (what == "linear") {
      write(resize_linear(image, whole(3), whole(4)), false);
    } else if (what == "warp") {
      write(warp_affine(image, {real(5), real(6), real(7), real(8), real(9), real(10)}, whole(3), whole(4)), false);
    } else if (what == "upright") {
      Image crop;
      if (!crop_upright(image, {real(4), real(5), real(6), real(7)}, whole(3), crop)) return 3;
      write(crop, false);
    } else if (what == "aligned") {
      FoundFace face;
      for (size_t i = 0; i < 5; ++i) face.points[i] = {real(4 + 2 * i), real(5 + 2 * i)};
      std::vector<float> out(3 * static_cast<size_t>(whole(3)) * static_cast<size_t>(whole(3)));
      const std::string reason = cut_face(image, face, "aligned", whole(3), out.data());
      std::cerr << reason;
      if (!reason.empty()) return 3;
      std::fwrite(out.data(), sizeof(float), out.size(), stdout);
    } else {
      return 2;
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
