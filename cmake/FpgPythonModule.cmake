# The Python module fpg._C, of what the operations bind. It carries the hash of its stub: fpg/ops/backend.py refuses a module whose
# names and arguments are not those of the checkout.

find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module)
find_package(pybind11 CONFIG REQUIRED)

set(_stub "${PROJECT_SOURCE_DIR}/fpg/_C.pyi")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${_stub}")
file(SHA256 "${_stub}" FPG_INTERFACE)

pybind11_add_module(_C MODULE common/python/module.cpp ${FPG_BINDING_SOURCES})
fpg_compile_options(_C)
set_property(SOURCE common/python/module.cpp APPEND PROPERTY COMPILE_DEFINITIONS "FPG_INTERFACE=\"${FPG_INTERFACE}\"")
# The static CUDA runtime keeps its symbols to itself: torch brings its own.
target_link_libraries(_C PRIVATE fpg::kernels -Wl,--exclude-libs,ALL)
install(TARGETS _C LIBRARY DESTINATION fpg COMPONENT python)
