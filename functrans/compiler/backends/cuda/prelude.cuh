// What kernels are written with: types by NumPy's names, and functions that CUDA has not.

typedef signed char int8;
typedef short int16;
typedef int int32;
typedef long long int64;
typedef unsigned char uint8;
typedef unsigned short uint16;
typedef unsigned int uint32;
typedef unsigned long long uint64;
typedef float float32;
typedef double float64;
struct float16 { uint16 bits; };
struct bfloat16 { uint16 bits; };
struct complex64 { float32 re, im; };
struct complex128 { float64 re, im; };

#define FUNCTION static __device__ __forceinline__
#ifdef __CUDACC_RTC__
extern __shared__ __align__(16) unsigned char shared_memory[];  // of a size that the launch says
#endif
#define KERNEL extern "C" __global__ void

// The number of a block, or of blocks, along two axes.
struct Blocks { uint32 x, y; };

// ---- numbers

template <class To, class From> FUNCTION To reinterpret(From x) {
  static_assert(sizeof(To) == sizeof(From), "");
  To y;
  memcpy(&y, &x, sizeof y);
  return y;
}

FUNCTION float32 infinity32() { return reinterpret<float32>(0x7f800000u); }
FUNCTION float64 infinity64() { return reinterpret<float64>(0x7ff0000000000000ull); }
FUNCTION float32 nan32() { return reinterpret<float32>(0x7fc00000u); }
FUNCTION float64 nan64() { return reinterpret<float64>(0x7ff8000000000000ull); }

#ifdef __CUDACC_RTC__
FUNCTION float32 single(float16 x) {
  float32 y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}
FUNCTION float16 half(float32 x) {
  float16 y;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}
#endif

// bfloat16 is the upper half of float32, rounded to even.
FUNCTION float32 single(bfloat16 x) { return reinterpret<float32>((uint32)x.bits << 16); }
FUNCTION bfloat16 upper_half(float32 x) {
  const uint32 bits = reinterpret<uint32>(x);
  if (x != x) return {(uint16)((bits >> 16 & 0x8000u) | 0x7fc0u)};
  return {(uint16)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}

FUNCTION bfloat16 operator+(bfloat16 x, bfloat16 y) { return upper_half(single(x) + single(y)); }
FUNCTION bfloat16 operator*(bfloat16 x, bfloat16 y) { return upper_half(single(x) * single(y)); }
FUNCTION float16 operator+(float16 x, float16 y) { return half(single(x) + single(y)); }
FUNCTION float16 operator*(float16 x, float16 y) { return half(single(x) * single(y)); }
FUNCTION complex64 operator+(complex64 x, complex64 y) { return {x.re + y.re, x.im + y.im}; }
FUNCTION complex128 operator+(complex128 x, complex128 y) { return {x.re + y.re, x.im + y.im}; }
FUNCTION complex64 operator*(complex64 x, complex64 y) {
  return {x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re};
}
FUNCTION complex128 operator*(complex128 x, complex128 y) {
  return {x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re};
}

template <class T> FUNCTION T gcd(T x, T y) {
  while (y) {
    const T rest = x % y;
    x = y;
    y = rest;
  }
  return x;
}

template <class T> FUNCTION T integer_power(T x, T n) {
  uint64 square = (uint64)x, product = 1;
  for (uint64 left = (uint64)n; left; left >>= 1) {
    if (left & 1) product *= square;
    square *= square;
  }
  return (T)product;
}

// The sine of an angle that is less than a multiple of pi away from another one, up to its sign: that of the difference,
// which the three parts of pi leave exact but for the last digit, with a polynomial of relative errors of 6e-9.
FUNCTION float32 sine_of_rest(float32 angle, float32 multiple, uint32 sign) {
  float32 rest = fmaf(-multiple, 3.14159250259399414f, angle);
  rest = fmaf(-multiple, 1.50995790e-07f, rest);
  rest = fmaf(-multiple, 1.07806057e-14f, rest);
  const float32 square = rest * rest;
  float32 series = fmaf(2.60563110525e-6f, square, -0.000198095389563f);
  series = fmaf(series, square, 0.00833306542969f);
  series = fmaf(series, square, -0.166666595212f);
  const float32 found = fmaf(series, fmaf(rest, square, 0.0f), rest);
  return reinterpret<float32>(reinterpret<uint32>(found) ^ sign << 31);
}
// Sines and cosines within two units in the last place, in 21 and 23 instructions; CUDA's take 27 and 28. A multiple of pi
// is taken away, not one of pi / 2, so that there is one polynomial for all that is left. Large angles are CUDA's.
FUNCTION float32 sine(float32 angle) {
  if (fabsf(angle) >= 105615.0f) return sinf(angle);
  const float32 shifted = fmaf(angle, 0.318309886f, 12582912.0f);  // a whole number in its last bits
  return sine_of_rest(angle, shifted - 12582912.0f, reinterpret<uint32>(shifted));
}
FUNCTION float32 cosine(float32 angle) {
  if (fabsf(angle) >= 105615.0f) return cosf(angle);
  const float32 size = fabsf(angle), shifted = fmaf(size, 0.318309886f, -0.5f) + 12582912.0f;
  return sine_of_rest(size, shifted - 12582912.0f + 0.5f, reinterpret<uint32>(shifted) + 1);
}

// Both functions of an angle, which is reduced once.
template <class T> struct Turn { T sine, cosine; };
FUNCTION Turn<float32> sine_and_cosine(float32 angle) {
  Turn<float32> y;
  sincosf(angle, &y.sine, &y.cosine);
  return y;
}
FUNCTION Turn<float64> sine_and_cosine(float64 angle) {
  Turn<float64> y;
  sincos(angle, &y.sine, &y.cosine);
  return y;
}

// The logarithmic derivative of the gamma function: reflection, recurrence, and Stirling's series from ten upwards.
FUNCTION float64 digamma(float64 x) {
  if (x == 0) return copysign(infinity64(), -x);
  if (x == -infinity64() || (x < 0 && x == floor(x))) return nan64();
  float64 found = 0;
  if (x < 0) {
    const float64 pi = 3.14159265358979323846, part = x - rint(x);
    found = -pi / tan(pi * part);
    x = 1 - x;
  }
  const float64 root = 1.4616321449683623, root_low = 9.549995429965697e-17;
  if (fabs(x - root) < 0.25) {  // Taylor's series at the root, so that digits do not cancel
    const float64 h = (x - root) - root_low;
    const float64 c[] = {0.9676722454476212, -0.4427631689835921, 0.258499760955651, -0.16394270544240654,
                         0.10782405069126236, -0.0721995612564547, 0.048804288164143106, -0.033161126474847356,
                         0.022597648232218105, -0.01542476590494896, 0.010538791616612175, -0.007204534386356868,
                         0.004926781395729853, -0.003369801655439328, 0.0023051263267349283, -0.0015769367714301973,
                         0.0010788252019162966, -0.000738070938996006, 0.000504953265834602, -0.0003454680251063077,
                         0.00023635601564027053, -0.00016170622091974803, 0.00011063372768747411};
    float64 sum = 0;
    for (int k = 22; k >= 0; --k) sum = sum * h + c[k];
    return found + sum * h;
  }
  while (x < 10) {
    found -= 1 / x;
    x += 1;
  }
  if (x == infinity64()) return x;
  const float64 z = 1 / (x * x);
  const float64 series = z * (1.0 / 12 - z * (1.0 / 120 - z * (1.0 / 252 - z * (1.0 / 240 - z * (1.0 / 132 -
                         z * (691.0 / 32760 - z * (1.0 / 12)))))));
  return found + log(x) - 0.5 / x - series;
}

// The logarithm of the normal distribution function.
FUNCTION float64 log_ndtr(float64 x) {
  const float64 t = x * 0.70710678118654752440;
  return x < -1 ? log(erfcx(-t) / 2) - t * t : log1p(-erfc(t) / 2);
}

// exp(-|x|) I(x), for a Bessel function of the first kind: Hankel's series where I alone might overflow.
FUNCTION float64 bessel_ratio(float64 x, float64 order) {
  float64 sum = 1, term = 1;
  for (int k = 1; k < 24; ++k) {
    const float64 odd = 2 * k - 1;
    term *= (odd * odd - 4 * order * order) / (8 * k * x);
    sum += term;
  }
  return sum / (2.50662827463100050242 * sqrt(x));
}
FUNCTION float64 i0e(float64 x) {
  const float64 size = fabs(x);
  return size < 40 ? exp(-size) * cyl_bessel_i0(size) : size == infinity64() ? 0 : bessel_ratio(size, 0);
}
FUNCTION float64 i1e(float64 x) {
  const float64 size = fabs(x);
  return copysign(size < 40 ? exp(-size) * cyl_bessel_i1(size) : size == infinity64() ? 0 : bessel_ratio(size, 1), x);
}

// Hurwitz's zeta function, the sum of (q + k)^-x: its first terms, then Euler and Maclaurin's formula (DLMF 25.11.5).
FUNCTION float64 hurwitz_zeta(float64 x, float64 q) {
  if (x == 1) return infinity64();
  if (x < 1) return nan64();
  if (q <= 0) {
    if (q == floor(q)) return infinity64();
    if (x != floor(x)) return nan64();
  }
  if (q > 1e8) return (1 / (x - 1) + 0.5 / q) * pow(q, 1 - x);
  float64 sum = 0, a = q;
  for (int32 k = 0; k < 16 || a < 10; ++k, a += 1) sum += pow(a, -x);
  const float64 b[] = {8.3333333333333333e-02, -1.3888888888888889e-03, 3.3068783068783069e-05, -8.2671957671957672e-07,
                       2.0876756987868099e-08, -5.2841901386874932e-10, 1.3382536530684679e-11, -3.3896802963225828e-13,
                       8.5860620562778446e-15, -2.1748686985580619e-16};  // Bernoulli's numbers over factorials
  float64 term = pow(a, -x), rising = x;
  sum += term * (a / (x - 1) + 0.5);
#pragma unroll
  for (int32 j = 0; j < 10; ++j) {
    term /= j ? a * a : a;
    const float64 part = b[j] * rising * term;
    if (!(fabs(part) > 0)) break;  // the product of large and small numbers would be no number in the end
    sum += part;
    rising *= (x + (2 * j + 1)) * (x + (2 * j + 2));
  }
  return sum;
}

// exp(-|x|) I(x) for a Bessel function of any order: by recurrence downwards from an order at which it is nothing
// (Miller), of functions that come to exp(|x|) together; a large x by Hankel's series.
FUNCTION float64 scaled_modified_bessel(float64 order, float64 x) {
  const float64 size = fabs(x), sign = x < 0 && fmod(order, 2.0) != 0 ? -1 : 1;
  if (size != size) return x;
  if (size == infinity64()) return 0;
  if (size > 30 && size > order * order) return sign * bessel_ratio(size, order);
  if (size < 1e-8) {  // the first term of the power series
    float64 term = sign * (1 - size);
    for (float64 k = 1; k <= order && term != 0; k += 1) term *= size / (2 * k);
    return term;
  }
  float64 above = 0, own = 1e-250, sum = 0, found = 0;
  for (float64 k = order + 20 + floor(sqrt(100 * (size + order))); k >= 0; k -= 1) {
    if (k == order) found = own;
    sum += k == 0 ? own : 2 * own;
    const float64 below = above + 2 * k / size * own;
    above = own;
    own = below;
    if (own > 1e200) {
      above *= 1e-250;
      own *= 1e-250;
      sum *= 1e-250;
      found *= 1e-250;
    }
  }
  return sign * found / sum;
}
FUNCTION float64 bessel_of_order(float64 order, float64 x) { return jn((int32)order, x); }
FUNCTION float64 modified_bessel(float64 order, float64 x) {
  const float64 factor = exp(0.5 * fabs(x)), found = scaled_modified_bessel(order, x) * factor;
  return fabs(x) == infinity64() ? (x < 0 && fmod(order, 2.0) != 0 ? -fabs(x) : fabs(x)) : found * factor;
}

// ---- memory

// What an address in bytes after another one has.
template <class T> FUNCTION const T *after(const T *base, int64 bytes) {
  return (const T *)((const char *)base + bytes);
}
template <class T> FUNCTION T *after(T *base, int64 bytes) { return (T *)((char *)base + bytes); }

// Some elements that are moved together.
template <class T, int N> struct __align__(sizeof(T) * N) Vector { T at[N]; };

// ---- indices

FUNCTION int32 quotient(int32 x, int32 n) { return (int32)((uint32)x / (uint32)n); }
template <class N> FUNCTION int64 quotient(int64 x, N n) { return x / (int64)n; }
// A number that others below 2^31 are divided by, as the host has it for them: a product and a shift are a quotient.
struct Divisor { uint32 multiplier, shift; };
FUNCTION int32 quotient(int32 x, Divisor by) { return (int32)((uint64)(uint32)x * by.multiplier >> by.shift); }

// Notes the first number that does not lie in [-extent, extent), and the number of the check.
FUNCTION void note_outside(int64 number, int64 extent, int64 check, uint64 *noted) {
  if ((uint64)number + (uint64)extent >= 2 * (uint64)extent && atomicCAS(noted, (uint64)0, (uint64)check) == 0)
    noted[1] = (uint64)number;
}

// ---- reductions: how two values are put together

// NaN if one is; of zeros the positive one, or the negative one. GPUs from sm_80 on have an instruction for that.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
FUNCTION float32 larger(float32 x, float32 y) {
  float32 z;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(z) : "f"(x), "f"(y));
  return z;
}
FUNCTION float32 smaller(float32 x, float32 y) {
  float32 z;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(z) : "f"(x), "f"(y));
  return z;
}
#else
FUNCTION float32 larger(float32 x, float32 y) {
  if (x == y) return reinterpret<float32>(reinterpret<uint32>(x) & reinterpret<uint32>(y));
  return x > y || x != x ? x : y;
}
FUNCTION float32 smaller(float32 x, float32 y) {
  if (x == y) return reinterpret<float32>(reinterpret<uint32>(x) | reinterpret<uint32>(y));
  return x < y || x != x ? x : y;
}
#endif

struct Add {
  template <class T> static __device__ __forceinline__ T of(T x, T y) { return x + y; }
  static __device__ __forceinline__ int8 of(int8 x, int8 y) { return (int8)(x + y); }
  static __device__ __forceinline__ int16 of(int16 x, int16 y) { return (int16)(x + y); }
  static __device__ __forceinline__ int32 of(int32 x, int32 y) { return (int32)((uint32)x + (uint32)y); }
  static __device__ __forceinline__ int64 of(int64 x, int64 y) { return (int64)((uint64)x + (uint64)y); }
};
struct Multiply {
  template <class T> static __device__ __forceinline__ T of(T x, T y) { return x * y; }
  static __device__ __forceinline__ int8 of(int8 x, int8 y) { return (int8)(x * y); }
  static __device__ __forceinline__ int16 of(int16 x, int16 y) { return (int16)(x * y); }
  static __device__ __forceinline__ uint16 of(uint16 x, uint16 y) { return (uint16)((uint32)x * y); }
  static __device__ __forceinline__ int32 of(int32 x, int32 y) { return (int32)((uint32)x * (uint32)y); }
  static __device__ __forceinline__ int64 of(int64 x, int64 y) { return (int64)((uint64)x * (uint64)y); }
};
struct Maximum {
  template <class T> static __device__ __forceinline__ T of(T x, T y) { return x > y ? x : y; }
  static __device__ __forceinline__ float32 of(float32 x, float32 y) { return larger(x, y); }
  static __device__ __forceinline__ float64 of(float64 x, float64 y) {
    if (x == y) return reinterpret<float64>(reinterpret<uint64>(x) & reinterpret<uint64>(y));
    return x > y || x != x ? x : y;
  }
  static __device__ __forceinline__ float16 of(float16 x, float16 y) { return half(of(single(x), single(y))); }
  static __device__ __forceinline__ bfloat16 of(bfloat16 x, bfloat16 y) { return upper_half(of(single(x), single(y))); }
};
struct Minimum {
  template <class T> static __device__ __forceinline__ T of(T x, T y) { return x < y ? x : y; }
  static __device__ __forceinline__ float32 of(float32 x, float32 y) { return smaller(x, y); }
  static __device__ __forceinline__ float64 of(float64 x, float64 y) {
    if (x == y) return reinterpret<float64>(reinterpret<uint64>(x) | reinterpret<uint64>(y));
    return x < y || x != x ? x : y;
  }
  static __device__ __forceinline__ float16 of(float16 x, float16 y) { return half(of(single(x), single(y))); }
  static __device__ __forceinline__ bfloat16 of(bfloat16 x, bfloat16 y) { return upper_half(of(single(x), single(y))); }
};
struct Or {
  template <class T> static __device__ __forceinline__ T of(T x, T y) { return (T)(x | y); }
};
struct And {
  template <class T> static __device__ __forceinline__ T of(T x, T y) { return (T)(x & y); }
};
struct Xor {
  template <class T> static __device__ __forceinline__ T of(T x, T y) { return (T)(x ^ y); }
};

// A product and a sum, of floats rounded once.
template <class T> FUNCTION T multiply_add(T x, T y, T z) { return Add::of(z, Multiply::of(x, y)); }
FUNCTION float32 multiply_add(float32 x, float32 y, float32 z) { return fmaf(x, y, z); }
FUNCTION float64 multiply_add(float64 x, float64 y, float64 z) { return fma(x, y, z); }

// What one thread has put together.
template <class T, class Operation> struct Accumulator {
  T total;
  __device__ __forceinline__ void take(T x) { total = Operation::of(total, x); }
  __device__ __forceinline__ T value() const { return total; }
};

// A sum with its rounding errors (Knuth's two-sum); without, where these are not finite.
template <class T> struct Sum {
  T total, error;
  __device__ __forceinline__ explicit Sum(T start) : total(start), error(0) {}
  __device__ __forceinline__ void take(T x) {
    const T after = total + x, came = after - total;
    error += (total - (after - came)) + (x - came);
    total = after;
  }
  __device__ __forceinline__ T value() const { return error != 0 && error == error ? total + error : total; }
};
template <> struct Accumulator<float32, Add> : Sum<float32> { using Sum<float32>::Sum; };
template <> struct Accumulator<float64, Add> : Sum<float64> { using Sum<float64>::Sum; };
template <class T, class Part> struct SumOfParts {
  Sum<Part> re, im;
  __device__ __forceinline__ explicit SumOfParts(T start) : re(start.re), im(start.im) {}
  __device__ __forceinline__ void take(T x) {
    re.take(x.re);
    im.take(x.im);
  }
  __device__ __forceinline__ T value() const { return {re.value(), im.value()}; }
};
template <> struct Accumulator<complex64, Add> : SumOfParts<complex64, float32> {
  using SumOfParts<complex64, float32>::SumOfParts;
};
template <> struct Accumulator<complex128, Add> : SumOfParts<complex128, float64> {
  using SumOfParts<complex128, float64>::SumOfParts;
};

// The threads of a warp that work together with this one: TEAM of them, or all, if it is one of larger teams.
template <int TEAM> FUNCTION uint32 team_mask() {
  if constexpr (TEAM >= 32) return 0xffffffffu;
  else return ((1u << TEAM) - 1) << (threadIdx.x % 32 / TEAM * TEAM);
}
// All threads of a team wait for each other.
template <int TEAM> FUNCTION void meet() {
  if constexpr (TEAM > 32) __syncthreads();
  else if constexpr (TEAM > 1) __syncwarp(team_mask<TEAM>());
}

// The value of the thread whose number in the warp differs in some bits.
#define MASK uint32 mask = 0xffffffffu
template <class T> FUNCTION T exchanged(T x, int32 bits, MASK) { return __shfl_xor_sync(mask, x, bits); }
FUNCTION bool exchanged(bool x, int32 bits, MASK) { return __shfl_xor_sync(mask, (int32)x, bits) != 0; }
FUNCTION int8 exchanged(int8 x, int32 bits, MASK) { return (int8)__shfl_xor_sync(mask, (int32)x, bits); }
FUNCTION uint8 exchanged(uint8 x, int32 bits, MASK) { return (uint8)__shfl_xor_sync(mask, (int32)x, bits); }
FUNCTION int16 exchanged(int16 x, int32 bits, MASK) { return (int16)__shfl_xor_sync(mask, (int32)x, bits); }
FUNCTION uint16 exchanged(uint16 x, int32 bits, MASK) { return (uint16)__shfl_xor_sync(mask, (int32)x, bits); }

FUNCTION complex64 exchanged(complex64 x, int32 bits, MASK) {
  return {exchanged(x.re, bits, mask), exchanged(x.im, bits, mask)};
}
FUNCTION complex128 exchanged(complex128 x, int32 bits, MASK) {
  return {exchanged(x.re, bits, mask), exchanged(x.im, bits, mask)};
}
#undef MASK

// What the threads of a warp, or of a team that is a part of one, have together; every one of them gets it.
template <class Operation, int TEAM = 32, class T> FUNCTION T of_warp(T x) {
#pragma unroll
  for (int32 bits = TEAM / 2; bits; bits >>= 1) x = Operation::of(x, exchanged(x, bits, team_mask<TEAM>()));
  return x;
}

// What all threads of a block have together, so many warps; every one of them gets it.
template <class Operation, int WARPS, class T> FUNCTION T of_block(T x) {
  __shared__ T of_warps[WARPS];
  x = of_warp<Operation>(x);
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = x;
  __syncthreads();
  x = of_warps[0];
#pragma unroll
  for (int32 warp = 1; warp < WARPS; ++warp) x = Operation::of(x, of_warps[warp]);
  __syncthreads();
  return x;
}

// Whether all other blocks of the kernel have been here before; what they have written is there then.
FUNCTION bool is_last_block(uint32 *counter) {
  __shared__ bool is_last;
  __syncthreads();
  if (threadIdx.x == 0) {
    const uint32 last = gridDim.x * gridDim.y - 1;
    __threadfence();
    is_last = atomicInc(counter, last) == last;  // which leaves zero
    __threadfence();
  }
  __syncthreads();
  return is_last;
}

// ---- scans

struct Halves { uint64 low, high; };
// A value whose bits a function moves, as integers that it can move.
template <class T, class Move> FUNCTION T moved(T x, Move move) {
  if constexpr (sizeof(T) == 16) {
    const Halves own = reinterpret<Halves>(x);
    return reinterpret<T>(Halves{move(own.low), move(own.high)});
  } else if constexpr (sizeof(T) == 8) {
    return reinterpret<T>(move(reinterpret<uint64>(x)));
  } else if constexpr (sizeof(T) == 4) {
    return reinterpret<T>(move(reinterpret<uint32>(x)));
  } else if constexpr (sizeof(T) == 2) {
    return reinterpret<T>((uint16)move((uint32)reinterpret<uint16>(x)));
  } else {
    return reinterpret<T>((uint8)move((uint32)reinterpret<uint8>(x)));
  }
}
// What the thread has whose number in the warp is smaller by some; one without such a thread gets its own.
template <class T> FUNCTION T from_below(T x, int32 by) {
  return moved(x, [=](auto bits) { return __shfl_up_sync(0xffffffffu, bits, by); });
}
// What the last thread of the warp has.
template <class T> FUNCTION T from_last(T x) {
  return moved(x, [](auto bits) { return __shfl_sync(0xffffffffu, bits, 31); });
}

// In place of what a thread has: what those before it have together, nothing useful for the first one; and what all
// have. The threads of a warp (TEAM is 32) are put together by doubling distances (Hillis and Steele 1986), those of a
// block (TEAM is its size) then warp after warp.
template <class Operation, int TEAM, class T> FUNCTION void prefixes(T &own, T &together) {
  const int32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  T x = own;
#pragma unroll
  for (int32 by = 1; by < 32; by *= 2) {
    const T below = from_below(x, by);
    if (lane >= by) x = Operation::of(below, x);
  }
  own = from_below(x, 1);
  if constexpr (TEAM == 32) {
    together = from_last(x);
  } else {
    __shared__ T of_warps[TEAM / 32];
    if (lane == 31) of_warps[warp] = x;
    __syncthreads();
    T before = of_warps[0];
    together = before;
    for (int32 k = 1; k < TEAM / 32; ++k) {
      if (k == warp) before = together;
      together = Operation::of(together, of_warps[k]);
    }
    if (warp) own = lane ? Operation::of(before, own) : before;
    __syncthreads();
  }
}

// ---- reductions of columns

// What the threads of a column have together, of a block in rows of threads; those of the first row get it.
template <class Operation, int COLUMNS, int ROWS, class T> FUNCTION T of_column(T x) {
  __shared__ T of_rows[ROWS][COLUMNS];
  const int32 column = threadIdx.x % COLUMNS, row = threadIdx.x / COLUMNS;
  of_rows[row][column] = x;
  __syncthreads();
#pragma unroll
  for (int32 half = ROWS / 2; half; half /= 2) {
    if (row < half) of_rows[row][column] = Operation::of(of_rows[row][column], of_rows[row + half][column]);
    __syncthreads();
  }
  return row ? x : of_rows[0][column];
}

// ---- updates of the same place by many threads

// An update of two, four or eight bytes by comparing and exchanging whole words. What is read first is a guess: others may
// be writing there.
template <class Operation, class T> FUNCTION void exchange_until_done(T *place, T x) {
  if constexpr (sizeof(T) == 8) {
    unsigned long long *const word = (unsigned long long *)place;
    unsigned long long had = *(volatile unsigned long long *)word, seen;
    do {
      seen = had;
      had = atomicCAS(word, seen, reinterpret<unsigned long long>(Operation::of(reinterpret<T>(seen), x)));
    } while (had != seen);
  } else if constexpr (sizeof(T) == 4) {
    unsigned int *const word = (unsigned int *)place;
    unsigned int had = *(volatile unsigned int *)word, seen;
    do {
      seen = had;
      had = atomicCAS(word, seen, reinterpret<unsigned int>(Operation::of(reinterpret<T>(seen), x)));
    } while (had != seen);
  } else {  // a part of a word
    unsigned int *const word = (unsigned int *)((uint64)place & ~3ull);
    const int32 shift = 8 * (int32)((uint64)place & 3);
    const unsigned int mask = (sizeof(T) == 1 ? 0xffu : 0xffffu) << shift;
    unsigned int had = *(volatile unsigned int *)word, seen;
    do {
      seen = had;
      T own;
      const unsigned int bits = (seen & mask) >> shift;
      memcpy(&own, &bits, sizeof own);
      own = Operation::of(own, x);
      unsigned int after = 0;
      memcpy(&after, &own, sizeof own);
      had = atomicCAS(word, seen, (seen & ~mask) | (after << shift));
    } while (had != seen);
  }
}
template <class Operation, class T> FUNCTION void update(Operation, T *place, T x) {
  exchange_until_done<Operation>(place, x);
}
FUNCTION void update(Add, float32 *place, float32 x) { atomicAdd(place, x); }
FUNCTION void update(Add, float64 *place, float64 x) { atomicAdd(place, x); }
FUNCTION void update(Add, int32 *place, int32 x) { atomicAdd(place, x); }
FUNCTION void update(Add, uint32 *place, uint32 x) { atomicAdd(place, x); }
FUNCTION void update(Add, uint64 *place, uint64 x) { atomicAdd(place, x); }
FUNCTION void update(Add, int64 *place, int64 x) { atomicAdd((uint64 *)place, (uint64)x); }
template <class T> FUNCTION void update_parts(T *place, T x) {
  atomicAdd(&place->re, x.re);
  atomicAdd(&place->im, x.im);
}
FUNCTION void update(Add, complex64 *place, complex64 x) { update_parts(place, x); }
FUNCTION void update(Add, complex128 *place, complex128 x) { update_parts(place, x); }
template <class Operation, class T> FUNCTION void atomic_update(T *place, T x) { update(Operation{}, place, x); }
