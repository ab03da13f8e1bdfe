# CUDA kernels: FPG_CUDA=AUTO builds them when nvcc is found, ON fails without it, OFF leaves them out.
# Sets FPG_CUDA_BUILT (ON or OFF) and FPG_CUDA_VERSION. The runtime is linked statically, so that the result loads
# on a machine without a driver.

if(NOT FPG_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "FPG_CUDA: expected AUTO, ON or OFF, got '${FPG_CUDA}'")
endif()
set(FPG_CUDA_BUILT OFF)
set(FPG_CUDA_VERSION "")
if(FPG_CUDA STREQUAL "OFF")
  return()
endif()

# CUDACXX and CMAKE_CUDA_COMPILER are the user's word; otherwise PATH and the usual place.
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(FPG_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATH_SUFFIXES bin PATHS /usr/local/cuda/bin)
  mark_as_advanced(FPG_NVCC)
  if(FPG_NVCC)
    set(ENV{CUDACXX} "${FPG_NVCC}")
  endif()
endif()

include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  if(FPG_CUDA STREQUAL "ON")
    message(FATAL_ERROR "FPG_CUDA=ON, but no working nvcc was found. Set CUDACXX to nvcc, or configure with -DFPG_CUDA=OFF.")
  endif()
  return()
endif()

# sm_80, sm_90 and sm_120, each with PTX, as far as this nvcc knows them. The list has to be there before the language is
# enabled, which otherwise picks one.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES AND NOT DEFINED ENV{CUDAARCHS})
  execute_process(COMMAND "${CMAKE_CUDA_COMPILER}" --list-gpu-arch OUTPUT_VARIABLE _known ERROR_QUIET)
  set(_architectures)
  foreach(_architecture 80 90 120)
    if(_known MATCHES "compute_${_architecture}([^0-9]|$)")
      list(APPEND _architectures ${_architecture})
    else()
      message(STATUS "${CMAKE_CUDA_COMPILER} does not know sm_${_architecture}: left out")
    endif()
  endforeach()
  set(CMAKE_CUDA_ARCHITECTURES "${_architectures}" CACHE STRING "GPU architectures to compile for")
endif()

enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)
set(FPG_CUDA_BUILT ON)
set(FPG_CUDA_VERSION "${CMAKE_CUDA_COMPILER_VERSION}")
