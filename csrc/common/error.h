// The errors that fpg throws. Both are standard exceptions, so that a caller need not know these names.
#pragma once

#include <stdexcept>
#include <string>

namespace fpg {

// Invalid arguments: a shape, a device or a pointer does not fit. A ValueError in Python.
class InvalidArgument : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

// The device cannot run it: no CUDA in this build, no driver, a failed launch. A RuntimeError in Python.
class DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace fpg
