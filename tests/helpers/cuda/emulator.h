// What CUDA C++ stands on, for kernels that run on the host: one fiber for each thread of a block (emulator.cpp).
// The text of kernels is included after this file and compiled as C++.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __restrict__

struct Three { unsigned x, y, z; };
extern "C" {
extern Three threadIdx, blockIdx, blockDim, gridDim;
extern unsigned char *emulated_shared;
void emulated_syncthreads();
void emulated_syncwarp(unsigned mask);
void emulated_exchange(unsigned mask, const void *given, void *taken, unsigned size, int from);
int emulated_lane();
extern double (*emulated_erfinv)(double, int), (*emulated_erfcinv)(double, int), (*emulated_ndtri)(double, int);
extern double (*emulated_erfcx)(double, int), (*emulated_i0)(double, int), (*emulated_i1)(double, int);
}

#define shared_memory emulated_shared

static inline void __syncthreads() { emulated_syncthreads(); }
static inline void __syncwarp(unsigned mask = ~0u) { emulated_syncwarp(mask); }
static inline void __threadfence() {}
template <class T> T emulated_taken(unsigned mask, T x, int from) {
  static_assert(sizeof(T) <= 8, "");
  T y;
  emulated_exchange(mask, &x, &y, sizeof x, from);
  return y;
}
template <class T> T __shfl_xor_sync(unsigned mask, T x, int bits) {
  return emulated_taken(mask, x, emulated_lane() ^ bits);
}
template <class T> T __shfl_sync(unsigned mask, T x, int from) { return emulated_taken(mask, x, from & 31); }
template <class T> T __shfl_up_sync(unsigned mask, T x, int by) {
  const int lane = emulated_lane();
  return emulated_taken(mask, x, lane >= by ? lane - by : lane);
}

// Kernels that are watched for races (races.h) tell of atomic updates themselves.
#ifdef __SANITIZE_THREAD__
extern "C" void emulated_atomic(const void *place, unsigned size), emulated_count(int is_the_last);
#define UPDATE(place) emulated_atomic(place, sizeof *(place))
#define COUNTED(is_the_last) emulated_count(is_the_last)
#else
#define UPDATE(place)
#define COUNTED(is_the_last)
#endif
#define ATOMIC __attribute__((no_sanitize_thread))
template <class T, class U> ATOMIC T atomicAdd(T *place, U x) {
  UPDATE(place);
  const T had = *place;
  *place = (T)(had + x);
  return had;
}
ATOMIC static inline unsigned atomicInc(unsigned *place, unsigned most) {
  UPDATE(place);
  const unsigned had = *place;
  *place = had >= most ? 0 : had + 1;
  COUNTED(had == most);
  return had;
}
template <class T> ATOMIC T atomicCAS(T *place, T expected, T x) {
  UPDATE(place);
  const T had = *place;
  if (had == expected) *place = x;
  return had;
}

static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline double erfinv(double x) { return emulated_erfinv(x, 0); }
static inline double erfcinv(double x) { return emulated_erfcinv(x, 0); }
static inline double normcdfinv(double x) { return emulated_ndtri(x, 0); }
static inline double erfcx(double x) { return emulated_erfcx(x, 0); }
static inline double cyl_bessel_i0(double x) { return emulated_i0(x, 0); }
static inline double cyl_bessel_i1(double x) { return emulated_i1(x, 0); }
static inline float erfinvf(float x) { return (float)erfinv(x); }
static inline float erfcinvf(float x) { return (float)erfcinv(x); }
static inline float normcdfinvf(float x) { return (float)normcdfinv(x); }
static inline float cyl_bessel_i0f(float x) { return (float)cyl_bessel_i0(x); }
static inline float cyl_bessel_i1f(float x) { return (float)cyl_bessel_i1(x); }

struct float16;
static inline float single(float16 x);
static inline float16 half(float x);

// A kernel as what the emulator calls in each thread; with `sizes`, it tells those of its parameters in place of that.
template <int...> struct Numbers {};
template <int N, int... I> struct Count : Count<N - 1, N - 1, I...> {};
template <int... I> struct Count<0, I...> { typedef Numbers<I...> type; };
template <class T> struct Plain { typedef T type; };
template <class T> struct Plain<const T> { typedef T type; };
template <class... A, int... I> static void emulated_call(void (*kernel)(A...), void **given, Numbers<I...>) {
  kernel(*(typename Plain<A>::type *)given[I]...);
}
template <class... A> static unsigned emulated_call(void (*kernel)(A...), void **given, unsigned char *sizes) {
  const unsigned char own[] = {sizeof(A)..., 0};
  if (sizes) memcpy(sizes, own, sizeof...(A));
  else emulated_call(kernel, given, typename Count<sizeof...(A)>::type{});
  return sizeof...(A);
}
#define EMULATED(kernel)                                                       \
  extern "C" unsigned emulated_##kernel(void **given, unsigned char *sizes) {  \
    return emulated_call(kernel, given, sizes);                                \
  }
