# TensorRT or TensorRT for RTX, for deploy/: FPG_TENSORRT=AUTO uses it when found, ON fails without it, OFF leaves it out.
# Looks under TensorRT_ROOT, TENSORRT_ROOT and TensorRT_DIR (CMake or environment variables), then in the usual places.
# Sets FPG_TENSORRT_BUILT and FPG_TENSORRT_VERSION and defines the target fpg::tensorrt.

set(FPG_TENSORRT AUTO CACHE STRING "TensorRT engines in the C++ runtime: AUTO (when found), ON or OFF")
set_property(CACHE FPG_TENSORRT PROPERTY STRINGS AUTO ON OFF)
set(FPG_TENSORRT_BUILT OFF)
set(FPG_TENSORRT_VERSION "")
if(FPG_TENSORRT STREQUAL "OFF")
  return()
endif()

# The value of a number macro; newer headers define NV_TENSORRT_* through another macro (TRT_*_ENTERPRISE).
function(_fpg_macro header name result)
  set(value "")
  foreach(depth RANGE 3)
    file(STRINGS "${header}" lines REGEX "^[ \t]*#[ \t]*define[ \t]+${name}[ \t]+[A-Za-z0-9_]+")
    if(NOT lines)
      break()
    endif()
    list(GET lines 0 line)
    string(REGEX REPLACE "^[ \t]*#[ \t]*define[ \t]+${name}[ \t]+([A-Za-z0-9_]+).*" "\\1" value "${line}")
    if(value MATCHES "^[0-9]+$")
      set(${result} "${value}" PARENT_SCOPE)
      return()
    endif()
    set(name "${value}")
  endforeach()
  set(${result} "" PARENT_SCOPE)
endfunction()

set(_hints)
foreach(_variable TensorRT_ROOT TENSORRT_ROOT TensorRT_DIR)
  foreach(_value "${${_variable}}" "$ENV{${_variable}}")
    if(_value)
      list(APPEND _hints "${_value}")
    endif()
  endforeach()
endforeach()

find_path(FPG_TENSORRT_INCLUDE NvInfer.h HINTS ${_hints} PATH_SUFFIXES include include/x86_64-linux-gnu targets/x86_64-linux-gnu/include)
find_library(FPG_TENSORRT_LIBRARY NAMES nvinfer tensorrt_rtx HINTS ${_hints} PATH_SUFFIXES lib lib64 targets/x86_64-linux-gnu/lib)
if(NOT FPG_TENSORRT_LIBRARY)  # wheels carry libnvinfer.so.N without the plain name
  foreach(_hint IN LISTS _hints)
    file(GLOB _versioned "${_hint}/libnvinfer.so.*" "${_hint}/lib*/libnvinfer.so.*" "${_hint}/libtensorrt_rtx.so.*" "${_hint}/lib*/libtensorrt_rtx.so.*")
    if(_versioned)
      list(GET _versioned 0 _first)
      set(FPG_TENSORRT_LIBRARY "${_first}" CACHE FILEPATH "TensorRT library" FORCE)
      break()
    endif()
  endforeach()
endif()
mark_as_advanced(FPG_TENSORRT_INCLUDE FPG_TENSORRT_LIBRARY)

if(NOT FPG_TENSORRT_INCLUDE OR NOT FPG_TENSORRT_LIBRARY)
  set(_advice "TensorRT was not found (NvInfer.h: ${FPG_TENSORRT_INCLUDE}, nvinfer: ${FPG_TENSORRT_LIBRARY}). Set TensorRT_ROOT to its SDK, "
              "or build without it: -DFPG_TENSORRT=OFF.")
  string(CONCAT _advice ${_advice})
  if(FPG_TENSORRT STREQUAL "ON")
    message(FATAL_ERROR "${_advice}")
  endif()
  message(STATUS "${_advice}")
  return()
endif()

foreach(_part MAJOR MINOR PATCH)
  _fpg_macro("${FPG_TENSORRT_INCLUDE}/NvInferVersion.h" NV_TENSORRT_${_part} _number)
  list(APPEND FPG_TENSORRT_VERSION "${_number}")
endforeach()
list(JOIN FPG_TENSORRT_VERSION "." FPG_TENSORRT_VERSION)

add_library(fpg::tensorrt UNKNOWN IMPORTED GLOBAL)
set_target_properties(fpg::tensorrt PROPERTIES
  IMPORTED_LOCATION "${FPG_TENSORRT_LIBRARY}"
  INTERFACE_INCLUDE_DIRECTORIES "${FPG_TENSORRT_INCLUDE}")
set(FPG_TENSORRT_BUILT ON)
