#include "common/python/bindings.h"
#include "magnitude/magnitude.h"

namespace fpg::python {
namespace {

void magnitude_vote(const Dense& gradient, const Dense& source, const Dense& background, Address votes, const Target& target) {
  const py::gil_scoped_release release;
  const auto images = tensor<const float>(source, target.device);
  fpg::magnitude_vote({tensor<const float>(gradient, target.device),
                       images,
                       tensor<const float>(background, target.device),
                       {pointer<int64_t>(votes), {images.shape[0]}, target.device}},
                      target.execution);
}

void magnitude_step(const Dense& source, const Dense& background, const Dense& fake, const Dense& mask, Address votes, float eps,
                    const Dense& out, const Target& target) {
  const py::gil_scoped_release release;
  const auto images = tensor<const float>(source, target.device);
  fpg::magnitude_step({images,
                       tensor<const float>(background, target.device),
                       tensor<const float>(fake, target.device),
                       tensor<const float>(mask, target.device),
                       {pointer<const int64_t>(votes), {images.shape[0]}, target.device},
                       eps,
                       tensor<float>(out, target.device)},
                      target.execution);
}

}  // namespace

FPG_BINDINGS(magnitude) {
  module.def("magnitude_vote", &magnitude_vote, py::kw_only(), py::arg("gradient"), py::arg("source"), py::arg("background"),
             py::arg("votes"), py::arg("target"), "See csrc/magnitude/magnitude.h.");
  module.def("magnitude_step", &magnitude_step, py::kw_only(), py::arg("source"), py::arg("background"), py::arg("fake"),
             py::arg("mask"), py::arg("votes"), py::arg("eps"), py::arg("out"), py::arg("target"),
             "See csrc/magnitude/magnitude.h.");
}

}  // namespace fpg::python
