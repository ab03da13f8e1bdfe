// The errors that fpg throws. Both are standard exceptions, so that a caller need not know these names.
#pragma once

#include <stdexcept>
#include <string>

namespace fpg {

// The call is wrong: a shape, a device or a pointer does not fit. Python sees ValueError.
class InvalidArgument : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

// The device cannot do it: no CUDA in this build, no driver, a launch that failed. Python sees RuntimeError.
class DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace fpg
