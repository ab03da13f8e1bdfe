#include <pybind11/stl.h>

#include "bindings.h"
#include "fpg/blend.h"

namespace py = pybind11;

namespace fpg::python {
namespace {

void blend(const Ragged& source, const Ragged& background, const Ragged& masks, std::uintptr_t out, const Target& target) {
  const py::gil_scoped_release release;
  fpg::blend(source.view<const uint8_t>(target.device), background.view<const uint8_t>(target.device),
             masks.view<const float>(target.device), pointer<uint8_t>(out), target.execution);
}

void reblend(const Dense& source, const Dense& background, const Dense& mask, const Dense& out, const Target& target) {
  const py::gil_scoped_release release;
  fpg::reblend(tensor<const float>(source, target.device), tensor<const float>(background, target.device),
               tensor<const float>(mask, target.device), tensor<float>(out, target.device), target.execution);
}

void reblend_backward(const Dense& gradient, const Dense& source, const Dense& background, const Dense& mask,
                      const Dense& source_gradient, const Dense& background_gradient, const Dense& mask_gradient,
                      const Target& target) {
  const py::gil_scoped_release release;
  fpg::reblend_backward(tensor<const float>(gradient, target.device), tensor<const float>(source, target.device),
                        tensor<const float>(background, target.device), tensor<const float>(mask, target.device),
                        {tensor<float>(source_gradient, target.device), tensor<float>(background_gradient, target.device),
                         tensor<float>(mask_gradient, target.device)},
                        target.execution);
}

void magnitude_vote(const Dense& gradient, const Dense& source, const Dense& background, std::uintptr_t votes,
                    const Target& target) {
  const py::gil_scoped_release release;
  const auto images = tensor<const float>(source, target.device);
  fpg::magnitude_vote(tensor<const float>(gradient, target.device), images, tensor<const float>(background, target.device),
                      {pointer<int64_t>(votes), {images.shape[0]}, target.device}, target.execution);
}

void magnitude_step(const Dense& source, const Dense& background, const Dense& fake, const Dense& mask, std::uintptr_t votes,
                    float eps, const Dense& out, const Target& target) {
  const py::gil_scoped_release release;
  const auto images = tensor<const float>(source, target.device);
  fpg::magnitude_step({images,
                       tensor<const float>(background, target.device),
                       tensor<const float>(fake, target.device),
                       tensor<const float>(mask, target.device),
                       {pointer<const int64_t>(votes), {images.shape[0]}, target.device},
                       eps},
                      tensor<float>(out, target.device), target.execution);
}

}  // namespace

void bind_blend(py::module_& module) {
  const auto target = py::arg("target");
  const char* doc = "See fpg/blend.h.";
  module.def("blend", &blend, py::kw_only(), py::arg("source"), py::arg("background"), py::arg("masks"), py::arg("out"), target,
             doc);
  module.def("reblend", &reblend, py::kw_only(), py::arg("source"), py::arg("background"), py::arg("mask"), py::arg("out"),
             target, doc);
  module.def("reblend_backward", &reblend_backward, py::kw_only(), py::arg("gradient"), py::arg("source"), py::arg("background"),
             py::arg("mask"), py::arg("source_gradient"), py::arg("background_gradient"), py::arg("mask_gradient"), target, doc);
  module.def("magnitude_vote", &magnitude_vote, py::kw_only(), py::arg("gradient"), py::arg("source"), py::arg("background"),
             py::arg("votes"), target, doc);
  module.def("magnitude_step", &magnitude_step, py::kw_only(), py::arg("source"), py::arg("background"), py::arg("fake"),
             py::arg("mask"), py::arg("votes"), py::arg("eps"), py::arg("out"), target, doc);
}

}  // namespace fpg::python
