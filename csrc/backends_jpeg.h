// What dispatch_jpeg.cpp calls, arguments already validated.
#pragma once

#include "fpg/jpeg.h"

namespace fpg::cpu {
void jpeg_round_trip(const JpegInput& input, const JpegScratch& scratch, const Execution& execution);
}
namespace fpg::cuda {
void jpeg_round_trip(const JpegInput& input, const JpegScratch& scratch, const Execution& execution);
}
