#include <pybind11/stl.h>

#include "bind_image.h"
#include "fpg/blend.h"

namespace py = pybind11;

namespace fpg::python {
namespace {

void blend(const RaggedTuple& source, const RaggedTuple& background, const RaggedTuple& masks, std::uintptr_t out, int cuda_device,
           std::uintptr_t stream, int threads) {
  const py::gil_scoped_release release;
  const Device where = device(cuda_device);
  fpg::blend(ragged<const uint8_t>(source, where), ragged<const uint8_t>(background, where), ragged<const float>(masks, where),
             pointer<uint8_t>(out), execution(threads, stream));
}

void reblend(const TensorTuple& source, const TensorTuple& background, const TensorTuple& mask, const TensorTuple& out,
             int cuda_device, std::uintptr_t stream, int threads) {
  const py::gil_scoped_release release;
  const Device where = device(cuda_device);
  fpg::reblend(tensor<const float>(source, where), tensor<const float>(background, where), tensor<const float>(mask, where),
               tensor<float>(out, where), execution(threads, stream));
}

void reblend_backward(const TensorTuple& gradient, const TensorTuple& source, const TensorTuple& background, const TensorTuple& mask,
                      const TensorTuple& source_gradient, const TensorTuple& background_gradient, const TensorTuple& mask_gradient,
                      int cuda_device, std::uintptr_t stream, int threads) {
  const py::gil_scoped_release release;
  const Device where = device(cuda_device);
  fpg::reblend_backward(
      tensor<const float>(gradient, where), tensor<const float>(source, where), tensor<const float>(background, where),
      tensor<const float>(mask, where),
      {tensor<float>(source_gradient, where), tensor<float>(background_gradient, where), tensor<float>(mask_gradient, where)},
      execution(threads, stream));
}

void magnitude_vote(const TensorTuple& gradient, const TensorTuple& source, const TensorTuple& background, std::uintptr_t votes,
                    int cuda_device, std::uintptr_t stream, int threads) {
  const py::gil_scoped_release release;
  const Device where = device(cuda_device);
  const auto images = tensor<const float>(source, where);
  fpg::magnitude_vote(tensor<const float>(gradient, where), images, tensor<const float>(background, where),
                      {pointer<int64_t>(votes), {images.shape[0]}, where}, execution(threads, stream));
}

void magnitude_step(const TensorTuple& source, const TensorTuple& background, const TensorTuple& fake, const TensorTuple& mask,
                    std::uintptr_t votes, float eps, const TensorTuple& out, int cuda_device, std::uintptr_t stream, int threads) {
  const py::gil_scoped_release release;
  const Device where = device(cuda_device);
  const auto images = tensor<const float>(source, where);
  fpg::magnitude_step({images, tensor<const float>(background, where), tensor<const float>(fake, where),
                       tensor<const float>(mask, where), {pointer<const int64_t>(votes), {images.shape[0]}, where}, eps},
                      tensor<float>(out, where), execution(threads, stream));
}

}  // namespace

void bind_blend(py::module_& module) {
  const auto device = py::arg("cuda_device") = -1;
  const auto stream = py::arg("stream") = 0;
  const auto threads = py::arg("threads") = 1;
  const char* doc = "See fpg/blend.h.";
  module.def("blend", &blend, py::kw_only(), py::arg("source"), py::arg("background"), py::arg("masks"), py::arg("out"), device,
             stream, threads, doc);
  module.def("reblend", &reblend, py::kw_only(), py::arg("source"), py::arg("background"), py::arg("mask"), py::arg("out"), device,
             stream, threads, doc);
  module.def("reblend_backward", &reblend_backward, py::kw_only(), py::arg("gradient"), py::arg("source"), py::arg("background"),
             py::arg("mask"), py::arg("source_gradient"), py::arg("background_gradient"), py::arg("mask_gradient"), device, stream,
             threads, doc);
  module.def("magnitude_vote", &magnitude_vote, py::kw_only(), py::arg("gradient"), py::arg("source"), py::arg("background"),
             py::arg("votes"), device, stream, threads, doc);
  module.def("magnitude_step", &magnitude_step, py::kw_only(), py::arg("source"), py::arg("background"), py::arg("fake"),
             py::arg("mask"), py::arg("votes"), py::arg("eps"), py::arg("out"), device, stream, threads, doc);
}

}  // namespace fpg::python
