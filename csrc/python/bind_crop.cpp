#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "bindings.h"
#include "fpg/crop.h"
#include "fpg/error.h"

namespace py = pybind11;

namespace fpg::python {
namespace {

// `masks` may be None, `masks_out` is not looked at then.
void crop_resize(const std::vector<Ragged>& images, const std::optional<Ragged>& masks, std::uintptr_t crops,
                 const std::vector<std::uintptr_t>& out, std::uintptr_t masks_out, int64_t side, const Target& target) {
  const py::gil_scoped_release release;
  if (images.size() != out.size() || images.size() > kMaxCropImages)
    throw InvalidArgument("images: expected at most " + std::to_string(kMaxCropImages) + " and as many outputs, got " +
                          std::to_string(images.size()) + " and " + std::to_string(out.size()));
  CropInput input;
  CropOutput output;
  input.count = static_cast<int>(images.size());
  input.crops = pointer<const int32_t>(crops);
  for (size_t i = 0; i < images.size(); ++i) {
    input.images[i] = images[i].view<const uint8_t>(target.device);
    output.images[i] = {pointer<float>(out[i]), {input.images[i].items, 3, side, side}, target.device};
  }
  if (masks) {
    input.masks = masks->view<const float>(target.device);
    output.masks = {pointer<float>(masks_out), {input.masks.items, 1, side, side}, target.device};
  }
  fpg::crop_resize(input, output, target.execution);
}

}  // namespace

void bind_crop(py::module_& module) {
  module.def("crop_resize", &crop_resize, py::kw_only(), py::arg("images"), py::arg("masks"), py::arg("crops"), py::arg("out"),
             py::arg("masks_out"), py::arg("side"), py::arg("target"), "See fpg/crop.h.");
}

}  // namespace fpg::python
