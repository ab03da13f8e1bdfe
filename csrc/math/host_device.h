// FPG_HD marks what runs on the host and on the device; the only compiler-dependent line under math/.
#pragma once

#ifdef __CUDACC__
#define FPG_HD __host__ __device__ __forceinline__
#else
#define FPG_HD inline
#endif
