// FPG_HD marks what runs on the host and on the device; the only compiler-dependent line of the arithmetic (math.h).
#pragma once

#ifdef __CUDACC__
#define FPG_HD __host__ __device__ __forceinline__
#elif defined(__GNUC__)
// Inlined always, so that the loop it stands in is vectorised and compiled for each instruction set (common/cpu/hot.h).
#define FPG_HD inline __attribute__((always_inline))
#else
#define FPG_HD inline
#endif
