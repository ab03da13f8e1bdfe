#include <pybind11/stl.h>

#include "bind_image.h"
#include "fpg/photometry.h"

namespace py = pybind11;

namespace fpg::python {
namespace {

void change_color(const RaggedTuple& images, std::uintptr_t changes, std::uintptr_t out, int cuda_device, std::uintptr_t stream,
                  int threads) {
  const py::gil_scoped_release release;
  fpg::change_color(ragged<const uint8_t>(images, device(cuda_device)), pointer<const float>(changes), pointer<uint8_t>(out),
                    execution(threads, stream));
}

void resample(const RaggedTuple& images, std::uintptr_t windows, const RaggedTuple& out, std::uintptr_t out_windows,
              std::uintptr_t changes, int cuda_device, std::uintptr_t stream, int threads) {
  const py::gil_scoped_release release;
  const Device where = device(cuda_device);
  fpg::resample(ragged<const uint8_t>(images, where), pointer<const Window>(windows), ragged<uint8_t>(out, where),
                pointer<const Window>(out_windows), pointer<const float>(changes), execution(threads, stream));
}

}  // namespace

void bind_photometry(py::module_& module) {
  module.def("change_color", &change_color, py::kw_only(), py::arg("images"), py::arg("changes"), py::arg("out"),
             py::arg("cuda_device") = -1, py::arg("stream") = 0, py::arg("threads") = 1, "See fpg/photometry.h.");
  module.def("resample", &resample, py::kw_only(), py::arg("images"), py::arg("windows"), py::arg("out"), py::arg("out_windows"),
             py::arg("changes"), py::arg("cuda_device") = -1, py::arg("stream") = 0, py::arg("threads") = 1, "See fpg/photometry.h.");
}

}  // namespace fpg::python
