#include <pybind11/stl.h>

#include <algorithm>
#include <vector>

#include "bind_image.h"
#include "fpg/crop.h"
#include "fpg/error.h"

namespace py = pybind11;

namespace fpg::python {
namespace {

// `masks` and `masks_out` are left out together (items 0).
void crop_resize(const std::vector<RaggedTuple>& images, const RaggedTuple& masks, std::uintptr_t crops,
                 const std::vector<std::uintptr_t>& out, std::uintptr_t masks_out, int64_t side, int cuda_device,
                 std::uintptr_t stream, int threads) {
  const py::gil_scoped_release release;
  if (images.size() != out.size() || images.size() > kMaxCropImages)
    throw InvalidArgument("images: expected at most " + std::to_string(kMaxCropImages) + " and as many outputs, got " +
                          std::to_string(images.size()) + " and " + std::to_string(out.size()));
  const Device where = device(cuda_device);
  CropInput input;
  CropOutput output;
  input.count = static_cast<int>(images.size());
  input.crops = pointer<const int32_t>(crops);
  for (size_t i = 0; i < images.size(); ++i) {
    input.images[i] = ragged<const uint8_t>(images[i], where);
    output.images[i] = {pointer<float>(out[i]), {input.images[i].items, 3, side, side}, where};
  }
  input.masks = ragged<const float>(masks, where);
  output.masks = {pointer<float>(masks_out), {input.masks.items, 1, side, side}, where};
  fpg::crop_resize(input, output, execution(threads, stream));
}

}  // namespace

void bind_crop(py::module_& module) {
  module.def("crop_resize", &crop_resize, py::kw_only(), py::arg("images"), py::arg("masks"), py::arg("crops"), py::arg("out"),
             py::arg("masks_out"), py::arg("side"), py::arg("cuda_device") = -1, py::arg("stream") = 0, py::arg("threads") = 1,
             "See fpg/crop.h.");
}

}  // namespace fpg::python
