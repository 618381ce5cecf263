// Linear algebra of one small matrix by a team: the threads of a warp, or a single one. Matrices are in shared memory, in
// rows of LD elements, one more than there is room for columns.

namespace decompositions {

// ---- numbers, real and complex

template <class E> struct RealOf { typedef E type; };
template <> struct RealOf<complex64> { typedef float32 type; };
template <> struct RealOf<complex128> { typedef float64 type; };
template <class E> using Real = typename RealOf<E>::type;
template <class E> constexpr bool is_complex = sizeof(E) != sizeof(Real<E>);

template <class E> FUNCTION E number(Real<E> x) {
  if constexpr (is_complex<E>) return {x, 0};
  else return x;
}
template <class E> FUNCTION Real<E> re(E x) {
  if constexpr (is_complex<E>) return x.re;
  else return x;
}
template <class E> FUNCTION Real<E> im(E x) {
  if constexpr (is_complex<E>) return x.im;
  else return 0;
}
template <class To, class From> FUNCTION To converted(From x) {
  if constexpr (is_complex<To>) return {(Real<To>)x.re, (Real<To>)x.im};
  else return (To)x;
}
template <class E> FUNCTION E conj(E x) {
  if constexpr (is_complex<E>) return {x.re, -x.im};
  else return x;
}
template <class E> FUNCTION E minus(E x, E y) {
  if constexpr (is_complex<E>) return {x.re - y.re, x.im - y.im};
  else return x - y;
}
template <class E> FUNCTION E scaled(E x, Real<E> factor) {
  if constexpr (is_complex<E>) return {x.re * factor, x.im * factor};
  else return x * factor;
}
template <class E> FUNCTION Real<E> square(E x) { return re(x) * re(x) + im(x) * im(x); }
// An absolute value, of numbers whose squares can be told from zero.
template <class E> FUNCTION Real<E> size(E x) {
  if constexpr (is_complex<E>) return sqrt(square(x));
  else return fabs(x);
}
// The larger part of a number; NaN if one part is.
template <class E> FUNCTION Real<E> largest_part(E x) {
  return Maximum::of((Real<E>)fabs(re(x)), (Real<E>)fabs(im(x)));
}
template <class E> FUNCTION bool is_zero(E x) { return re(x) == 0 && im(x) == 0; }
template <class E> FUNCTION E nan() {
  if constexpr (is_complex<E>) return {(Real<E>)nan64(), (Real<E>)nan64()};
  else return (E)nan64();
}
// A quotient (Smith 1962).
template <class E> FUNCTION E divided(E x, E y) {
  if constexpr (!is_complex<E>) {
    return x / y;
  } else if (fabs(y.re) >= fabs(y.im)) {
    const auto ratio = y.im / y.re, below = y.re + y.im * ratio;
    return {(x.re + x.im * ratio) / below, (x.im - x.re * ratio) / below};
  } else {
    const auto ratio = y.re / y.im, below = y.re * ratio + y.im;
    return {(x.re * ratio + x.im) / below, (x.im * ratio - x.re) / below};
  }
}

// ---- teams

template <int TEAM> FUNCTION int32 member() { return TEAM == 1 ? 0 : threadIdx.x % 32; }
template <int TEAM, class Operation, class T> FUNCTION T together(T x) {
  if constexpr (TEAM == 1) return x;
  else return of_warp<Operation>(x);
}
// Loops over n numbers: a thread's share of them, and all of them. Those that take most of the time are unrolled; if all
// were, they would take seconds to compile.
#define EACH(i, n) _Pragma("unroll 1") for (int32 i = member<TEAM>(); i < (n); i += TEAM)
#define ALL(i, n) _Pragma("unroll 1") for (int32 i = 0; i < (n); ++i)
#define OFTEN(i, n) _Pragma("unroll 4") for (int32 i = 0; i < (n); ++i)

// The rows and columns of a matrix of m rows, one element for each thread of a team and then the next ones. Threads go
// along what lies side by side: columns, or rows.
template <int TEAM, class Move> FUNCTION void each_element(int32 m, int32 n, bool by_rows, Move move) {
  if (m == 0 || n == 0) return;
  const uint32 length = by_rows ? n : m, factor = (65535 + length) / length;  // for quotients of up to 32 x 32 numbers
  EACH(k, m * n) {
    const int32 line = (int32)((uint32)k * factor >> 16), place = k - line * (int32)length;
    if (by_rows) move(line, place);
    else move(place, line);
  }
}

// A matrix of m rows from where it lies column by column, or row by row, and back; there it may be in another precision.
template <int TEAM, int LD, class E, class M>
FUNCTION void load(E *s, const M *a, int32 m, int32 n, int64 down, int64 across) {
  each_element<TEAM>(m, n, across == 1, [=](int32 i, int32 j) {
    s[i * LD + j] = converted<E>(a[i * down + j * across]);
  });
  meet<TEAM>();
}
template <int TEAM, int LD, class E, class M>
FUNCTION void store(const E *s, M *a, int32 m, int32 n, int64 down, int64 across) {
  meet<TEAM>();
  each_element<TEAM>(m, n, across == 1, [=](int32 i, int32 j) {
    a[i * down + j * across] = converted<M>(s[i * LD + j]);
  });
  meet<TEAM>();
}

// ---- elimination

// The Cholesky factor of what is in the lower triangle; whether there is none.
template <int LD, class E> FUNCTION bool cholesky(E *s, int32 n) {
  constexpr int TEAM = 32;
  const int32 i = member<TEAM>();
  for (int32 k = 0; k < n; ++k) {
    const Real<E> pivot = re(s[k * LD + k]);
    if (!(pivot > 0)) return true;
    const Real<E> root = sqrt(pivot);
    meet<TEAM>();
    if (i == k) s[k * LD + k] = number<E>(root);
    if (i > k && i < n) s[i * LD + k] = scaled(s[i * LD + k], 1 / root);
    meet<TEAM>();
    if (i > k && i < n) {
      const E own = s[i * LD + k];
      for (int32 j = k + 1; j <= i; ++j) s[i * LD + j] = minus(s[i * LD + j], own * conj(s[j * LD + k]));
    }
    meet<TEAM>();
  }
  return false;
}

// The number of the row, from k on, whose element in column k is largest; NaN is larger than all else. All threads have
// read the column then.
template <int LD, class E> FUNCTION int32 pivot_row(const E *s, int32 m, int32 k) {
  int32 row = threadIdx.x % 32;
  Real<E> most = -1;
  if (row >= k && row < m) {
    most = fabs(re(s[row * LD + k])) + fabs(im(s[row * LD + k]));
    if (most != most) most = (Real<E>)infinity64();
  }
  for (int32 bits = 16; bits; bits >>= 1) {
    const Real<E> others = exchanged(most, bits);
    const int32 their_row = exchanged(row, bits);
    if (others > most || (others == most && their_row < row)) {
      most = others;
      row = their_row;
    }
  }
  meet<32>();
  return row;
}

// Gaussian elimination with rows exchanged; the k-th row has changed places with pivots[k].
template <int LD, class E> FUNCTION void eliminate(E *s, int32 m, int32 n, int32 *pivots) {
  constexpr int TEAM = 32;
  const int32 own = member<TEAM>();
  for (int32 k = 0; k < (m < n ? m : n); ++k) {
    const int32 row = pivot_row<LD>(s, m, k);
    if (own == 0) pivots[k] = row;
    if (own < n && row != k) {
      const E moved = s[k * LD + own];
      s[k * LD + own] = s[row * LD + own];
      s[row * LD + own] = moved;
    }
    meet<TEAM>();
    const E pivot = s[k * LD + k];
    if (own > k && own < m && !is_zero(pivot)) {
      const E factor = divided(s[own * LD + k], pivot);
      s[own * LD + k] = factor;
      for (int32 j = k + 1; j < n; ++j) s[own * LD + j] = minus(s[own * LD + j], factor * s[k * LD + j]);
    }
    meet<TEAM>();
  }
}

// Triangular equations with some right-hand sides, which are columns of x.
template <int LD, class E> FUNCTION void substitute(const E *s, E *x, int32 n, int32 sides, bool lower, bool unit) {
  constexpr int TEAM = 32;
  const int32 own = member<TEAM>();
  for (int32 step = 0; step < n; ++step) {
    const int32 k = lower ? step : n - 1 - step;
    if (!unit && own < sides) x[k * LD + own] = divided(x[k * LD + own], s[k * LD + k]);
    meet<TEAM>();
    if (own < n && (lower ? own > k : own < k)) {
      const E factor = s[own * LD + k];
      for (int32 r = 0; r < sides; ++r) x[own * LD + r] = minus(x[own * LD + r], factor * x[k * LD + r]);
    }
    meet<TEAM>();
  }
}

// ---- Householder's reflections (Golub and Van Loan, Matrix Computations, 5.1), as LAPACK chooses them

// Below the diagonal the vectors, whose first element is one, on and above it the triangle.
template <int LD, class E> FUNCTION void reflect(E *s, int32 m, int32 n, E *factors) {
  constexpr int TEAM = 32;
  const int32 own = member<TEAM>();
  for (int32 k = 0; k < (m < n ? m : n); ++k) {
    const bool is_below = own > k && own < m;
    const E x = is_below ? s[own * LD + k] : number<E>(0), first = s[k * LD + k];
    const Real<E> unit = of_warp<Maximum>(largest_part(x));
    Real<E> length = of_warp<Add>(square(scaled(x, unit > 0 ? 1 / unit : 1)));
    length = unit == 0 ? unit : unit * sqrt(length);
    E factor = number<E>(0);
    meet<TEAM>();
    if (!(length == 0 && im(first) == 0)) {
      const Real<E> whole = hypot(hypot(re(first), im(first)), length), head = -copysign(whole, re(first));
      if constexpr (is_complex<E>) factor = {(head - first.re) / head, -first.im / head};
      else factor = (head - first) / head;
      if (is_below) s[own * LD + k] = divided(x, minus(first, number<E>(head)));
      if (own == k) s[k * LD + k] = number<E>(head);
    }
    if (own == 0) factors[k] = factor;
    meet<TEAM>();
    if (own > k && own < n) {
      E product = s[k * LD + own];
      for (int32 i = k + 1; i < m; ++i) product = product + conj(s[i * LD + k]) * s[i * LD + own];
      product = conj(factor) * product;
      s[k * LD + own] = minus(s[k * LD + own], product);
      for (int32 i = k + 1; i < m; ++i) s[i * LD + own] = minus(s[i * LD + own], product * s[i * LD + k]);
    }
    meet<TEAM>();
  }
}

// The first columns of the product of reflections.
template <int LD, class E>
FUNCTION void multiply_reflections(const E *s, E *q, int32 m, int32 columns, int32 count, const E *factors) {
  constexpr int TEAM = 32;
  const int32 own = member<TEAM>();
  if (own < columns) {
    for (int32 i = 0; i < m; ++i) q[i * LD + own] = number<E>(i == own);
    for (int32 k = count - 1; k >= 0; --k) {
      E product = q[k * LD + own];
      for (int32 i = k + 1; i < m; ++i) product = product + conj(s[i * LD + k]) * q[i * LD + own];
      product = factors[k] * product;
      q[k * LD + own] = minus(q[k * LD + own], product);
      for (int32 i = k + 1; i < m; ++i) q[i * LD + own] = minus(q[i * LD + own], product * s[i * LD + k]);
    }
  }
  meet<TEAM>();
}

// ---- Jacobi's rotations
//
// Each pair of rows, or of columns, is turned once in a sweep, n / 2 pairs at a time (Golub and Van Loan, 8.5). What is
// left is too small, against the two elements that it couples, to move them (Demmel and Veselic, "Jacobi's method is
// more accurate than QR", 1992). Sweeps converge quadratically; six to ten are usual, MOST_SWEEPS end what does not.

constexpr int32 MOST_SWEEPS = 40;
constexpr float64 ROUNDING = 2.220446049250313e-16;
constexpr float64 LEAST = 1e-150;  // of matrices whose largest elements are about one

// A plane and an angle: columns p and q become c p - s q' and s p + c q', where q' is q times a phase. Nothing is to be
// turned if t, which is s / c, is zero.
template <class E> struct Turn {
  int32 p, q;
  float64 c, s, t;
  E phase;
};

// The k-th pair of a round, of a tournament of n players (Golub and Van Loan, 8.5.2). If that is an odd number, somebody
// meets himself.
template <class E> FUNCTION Turn<E> pair_of(int32 round, int32 k, int32 n) {
  const int32 last = n - 1 + n % 2;
  const int32 x = k ? (round + k) % last : last, y = (round + last - k) % last;
  const int32 p = x < y ? x : y, q = x < y ? y : x;
  return {p, q < n ? q : p, 1, 0, 0, number<E>(1)};
}

// The angle at which a matrix [[a, g], [conj(g), b]] becomes diagonal.
template <class E> FUNCTION void choose_angle(Turn<E> &turn, float64 a, float64 b, E g) {
  float64 length;
  if constexpr (is_complex<E>) {
    length = size(g);
    turn.phase = {g.re / length, -g.im / length};
  } else {
    length = g;
  }
  const float64 ratio = (b - a) / (2 * length), far = fabs(ratio);
  turn.t = copysign(far > 1e8 ? 0.5 / far : 1 / (far + sqrt(1 + far * far)), ratio);
  turn.c = 1 / sqrt(1 + turn.t * turn.t);
  turn.s = turn.t * turn.c;
}
template <class E> FUNCTION void turn_pair(const Turn<E> &turn, E phase, E &x, E &y) {
  const E p = x, q = y * phase;
  x = minus(scaled(p, turn.c), scaled(q, turn.s));
  y = scaled(p, turn.s) + scaled(q, turn.c);
}

// The power of two that brings the largest part of a matrix to between a half and one; NaN if there is no such.
template <int TEAM, int LD, class E> FUNCTION float64 unit_of(const E *s, int32 m, int32 n) {
  float64 most = 0;
  ALL(j, n) EACH(i, m) most = Maximum::of(most, (float64)largest_part(s[i * LD + j]));
  most = together<TEAM, Maximum>(most);
  if (!(most < infinity64())) return nan64();
  int exponent = 0;
  frexp(most, &exponent);
  return ldexp(1.0, exponent > 1000 ? 1000 : exponent < -1000 ? -1000 : exponent);
}

// How many numbers come before one: smaller ones, or larger ones if it says so, and those equal that stand before it.
template <int TEAM> FUNCTION int32 rank_of(const float64 *numbers, int32 j, int32 n, bool descends) {
  int32 rank = 0;
  ALL(i, n) {
    const bool is_before = descends ? numbers[i] > numbers[j] : numbers[i] < numbers[j];
    rank += is_before || (numbers[i] == numbers[j] && i < j);
  }
  return rank;
}

// What makes the first of the largest elements of a column real and positive; what is 1% smaller counts as largest.
template <int TEAM, int LD, class E> FUNCTION E phase_of(const E *s, int32 j, int32 m) {
  float64 most = 0;
  ALL(i, m) most = Maximum::of(most, (float64)square(s[i * LD + j]));
  E chosen = number<E>(1);
  bool is_chosen = false;
  ALL(i, m) {
    if (!is_chosen && square(s[i * LD + j]) >= 0.98 * most) {
      chosen = s[i * LD + j];
      is_chosen = true;
    }
  }
  return scaled(conj(chosen), 1 / size(chosen));
}

// Eigenvalues of a Hermitian matrix s, on its diagonal in the end, and its eigenvectors, columns of v.
template <int TEAM, int LD, bool VECTORS, class E> FUNCTION void diagonalize(E *s, E *v, int32 n, Turn<E> *turns) {
  const int32 players = n + n % 2;
  for (int32 sweep = 0; sweep < MOST_SWEEPS; ++sweep) {
    int32 has_turned = 0;
    ALL(round, players - 1) {
      EACH(k, players / 2) {
        Turn<E> turn = pair_of<E>(round, k, n);
        if (turn.p != turn.q) {
          const E g = s[turn.p * LD + turn.q];
          const float64 a = re(s[turn.p * LD + turn.p]), b = re(s[turn.q * LD + turn.q]);
          if (size(g) > 0.5 * ROUNDING * sqrt(fabs(a)) * sqrt(fabs(b)) && size(g) > LEAST) {
            choose_angle(turn, a, b, g);
            has_turned = 1;
          }
        }
        turns[k] = turn;
      }
      meet<TEAM>();
      EACH(i, n) {
        ALL(k, players / 2) {
          if (turns[k].t == 0) continue;
          const int32 p = turns[k].p, q = turns[k].q;
          turn_pair(turns[k], turns[k].phase, s[i * LD + p], s[i * LD + q]);
          if (VECTORS) turn_pair(turns[k], turns[k].phase, v[i * LD + p], v[i * LD + q]);
        }
      }
      meet<TEAM>();
      EACH(j, n) {
        ALL(k, players / 2) {
          if (turns[k].t == 0) continue;
          turn_pair(turns[k], conj(turns[k].phase), s[turns[k].p * LD + j], s[turns[k].q * LD + j]);
        }
      }
      meet<TEAM>();
      EACH(k, players / 2) {
        if (turns[k].t == 0) continue;
        const int32 p = turns[k].p, q = turns[k].q;
        s[p * LD + q] = s[q * LD + p] = number<E>(0);
        s[p * LD + p] = number<E>(re(s[p * LD + p]));
        s[q * LD + q] = number<E>(re(s[q * LD + q]));
      }
      meet<TEAM>();
    }
    if (!together<TEAM, Or>(has_turned)) break;
  }
}

template <int LD, class E> struct Diagonals {
  E s[(LD - 1) * LD], v[(LD - 1) * LD];
  Turn<E> turns[LD / 2];
  float64 found[LD], padding;
};

// The eigenvalues of a Hermitian matrix that lies column by column, of which one triangle is read, in ascending order,
// and in its place its eigenvectors.
template <int TEAM, int LD, bool VECTORS, bool LOWER, class E>
FUNCTION void eigh_of(Diagonals<LD, E> &room, E *a, float64 *values, int32 n) {
  E *const s = room.s, *const v = room.v;
  ALL(j, n) EACH(i, n) {
    const E x = (LOWER ? i >= j : i <= j) ? a[j * n + i] : conj(a[i * n + j]);
    s[i * LD + j] = i == j ? number<E>(re(x)) : x;
    if (VECTORS) v[i * LD + j] = number<E>(i == j);
  }
  meet<TEAM>();
  const float64 unit = unit_of<TEAM, LD>(s, n, n);
  ALL(j, n) EACH(i, n) s[i * LD + j] = scaled(s[i * LD + j], 1 / unit);
  meet<TEAM>();
  if (unit == unit) diagonalize<TEAM, LD, VECTORS>(s, v, n, room.turns);
  EACH(j, n) room.found[j] = re(s[j * LD + j]) * unit;
  meet<TEAM>();
  EACH(j, n) {
    const int32 rank = unit == unit ? rank_of<TEAM>(room.found, j, n, false) : j;
    values[rank] = room.found[j];
    if (VECTORS) {
      const E phase = unit == unit ? phase_of<TEAM, LD>(v, j, n) : nan<E>();
      ALL(i, n) a[rank * n + i] = v[i * LD + j] * phase;
    }
  }
  meet<TEAM>();
}

// Turn columns of w, and those of v, until those of w are orthogonal (Hestenes).
template <int TEAM, int LD, bool VECTORS, class E> FUNCTION void orthogonalize(E *w, E *v, int32 m, int32 n) {
  const int32 players = n + n % 2;
  const float64 least = ROUNDING * sqrt((float64)m);
  for (int32 sweep = 0; sweep < MOST_SWEEPS; ++sweep) {
    int32 has_turned = 0;
    ALL(round, players - 1) {
      EACH(k, players / 2) {
        Turn<E> turn = pair_of<E>(round, k, n);
        if (turn.p != turn.q) {
          const int32 p = turn.p, q = turn.q;
          float64 a = 0, b = 0;
          E g = number<E>(0);
          OFTEN(i, m) {
            a += square(w[i * LD + p]);
            b += square(w[i * LD + q]);
            g = g + conj(w[i * LD + p]) * w[i * LD + q];
          }
          if (size(g) > least * sqrt(a) * sqrt(b) && size(g) > LEAST) {
            has_turned = 1;
            choose_angle(turn, a, b, g);
            OFTEN(i, m) turn_pair(turn, turn.phase, w[i * LD + p], w[i * LD + q]);
            if (VECTORS) OFTEN(i, n) turn_pair(turn, turn.phase, v[i * LD + p], v[i * LD + q]);
          }
        }
      }
      meet<TEAM>();
    }
    if (!together<TEAM, Or>(has_turned)) break;
  }
}

// Column j of w orthogonal to those of which `known` says that they are there, of length one: the unit vector that has
// most outside of these, without what it has of them, which is taken away twice.
template <int TEAM, int LD, class E>
FUNCTION void complete(E *w, int32 j, int32 m, int32 columns, const bool *known, float64 *outside, E *shares) {
  EACH(i, m) {
    float64 rest = 1;
    ALL(k, columns) if (known[k]) rest -= square(w[i * LD + k]);
    outside[i] = rest;
  }
  meet<TEAM>();
  int32 chosen = 0;
  float64 most = -1;
  ALL(i, m) {
    if (outside[i] > most) {
      most = outside[i];
      chosen = i;
    }
  }
  EACH(i, m) w[i * LD + j] = number<E>(i == chosen);
  meet<TEAM>();
  for (int32 turn = 0; turn < 2; ++turn) {
    EACH(k, columns) {
      E share = number<E>(0);
      if (known[k]) ALL(i, m) share = share + conj(w[i * LD + k]) * w[i * LD + j];
      shares[k] = share;
    }
    meet<TEAM>();
    EACH(i, m) {
      E rest = w[i * LD + j];
      ALL(k, columns) if (known[k]) rest = minus(rest, w[i * LD + k] * shares[k]);
      w[i * LD + j] = rest;
    }
    meet<TEAM>();
  }
  float64 length = 0;
  ALL(i, m) length += square(w[i * LD + j]);
  meet<TEAM>();
  EACH(i, m) w[i * LD + j] = scaled(w[i * LD + j], 1 / sqrt(length));
  meet<TEAM>();
}

template <int LD, class E> struct Factors {
  E w[(LD - 1) * LD], v[(LD - 1) * LD], shares[LD];
  float64 lengths[LD], outside[LD];
  bool known[LD];
  float64 padding;
};

// The singular values, in descending order, of a matrix of m rows and n columns that lies column by column, and its
// singular vectors: the rows of u, and the columns of v conjugated. The matrix that is worked on has no more columns
// than rows: it is the conjugate transpose if TURNED. `wide` is how many columns its left vectors come to.
template <int TEAM, int LD, bool VECTORS, bool TURNED, class E>
FUNCTION void svd_of(Factors<LD, E> &room, const E *a, float64 *values, E *u, E *v, int32 m, int32 n, int32 wide) {
  E *const w = room.w;
  ALL(j, n) EACH(i, m) w[i * LD + j] = TURNED ? conj(a[i * n + j]) : a[j * m + i];
  if (VECTORS) ALL(j, n) EACH(i, n) room.v[i * LD + j] = number<E>(i == j);
  meet<TEAM>();
  const float64 unit = unit_of<TEAM, LD>(w, m, n);
  const bool is_finite = unit == unit;
  ALL(j, n) EACH(i, m) w[i * LD + j] = scaled(w[i * LD + j], 1 / unit);
  meet<TEAM>();
  if (is_finite) orthogonalize<TEAM, LD, VECTORS>(w, room.v, m, n);
  EACH(j, n) {
    float64 sum = 0;
    ALL(i, m) sum += square(w[i * LD + j]);
    room.lengths[j] = sqrt(sum);
  }
  meet<TEAM>();
  EACH(j, n) values[is_finite ? rank_of<TEAM>(room.lengths, j, n, true) : j] = room.lengths[j] * unit;
  if (VECTORS) {
    const float64 shortest = sqrt(LEAST / ROUNDING);  // shorter ones need not have been made orthogonal
    EACH(j, wide) {
      room.known[j] = j < n && (room.lengths[j] > shortest || !is_finite);
      if (room.known[j]) ALL(i, m) w[i * LD + j] = scaled(w[i * LD + j], 1 / room.lengths[j]);
    }
    meet<TEAM>();
    ALL(j, wide) {
      if (room.known[j]) continue;
      complete<TEAM, LD>(w, j, m, wide, room.known, room.outside, room.shares);
      if (member<TEAM>() == 0) room.known[j] = true;
      meet<TEAM>();
    }
    const int32 rows = TURNED ? wide : n;  // of v^H, which has so many columns in memory
    EACH(j, wide) {
      const int32 rank = j < n && is_finite ? rank_of<TEAM>(room.lengths, j, n, true) : j;
      const E *const left = TURNED ? room.v : w;
      E phase = nan<E>();
      if (is_finite) phase = j < n ? phase_of<TEAM, LD>(left, j, TURNED ? n : m) : number<E>(1);
      ALL(i, m) {
        const E x = w[i * LD + j] * phase;
        if (TURNED) v[i * rows + rank] = conj(x);
        else u[rank * m + i] = x;
      }
      if (j < n) ALL(i, n) {
        const E x = room.v[i * LD + j] * phase;
        if (TURNED) u[rank * n + i] = x;
        else v[i * rows + rank] = conj(x);
      }
    }
  }
  meet<TEAM>();
}

// ---- what a kernel does for each matrix by elimination and by reflections

template <int LD, class E> struct Matrices {
  E s[(LD - 1) * LD], x[(LD - 1) * LD], factors[LD];
  int32 pivots[LD];
};

// The Cholesky factor of a matrix, of which the lower triangle counts, row by row.
template <int LD, class E, class M>
FUNCTION void cholesky_of(Matrices<LD, E> &room, const M *a, M *factor, int64 *failed, int32 n, int64 down,
                          int64 across) {
  constexpr int TEAM = 32;
  load<TEAM, LD>(room.s, a, n, n, down, across);
  const bool has_failed = cholesky<LD>(room.s, n);
  if (member<TEAM>() == 0) *failed = has_failed;
  ALL(i, n) EACH(j, n) if (j > i) room.s[i * LD + j] = number<E>(0);
  store<TEAM, LD>(room.s, factor, n, n, n, 1);
}

// The factors of a matrix that lies column by column, in its place, and pivots counted from one.
template <int LD, class E> FUNCTION void lu_of(Matrices<LD, E> &room, E *a, int32 *pivots, int32 m, int32 n) {
  constexpr int TEAM = 32;
  load<TEAM, LD>(room.s, a, m, n, 1, m);
  eliminate<LD>(room.s, m, n, room.pivots);
  store<TEAM, LD>(room.s, a, m, n, 1, m);
  EACH(k, m < n ? m : n) pivots[k] = room.pivots[k] + 1;
  meet<TEAM>();
}

// The solutions for right-hand sides, and whether there are none. Element (i, j) of the matrix is `down` i and `across`
// j elements away, and so for right-hand sides and solutions.
template <int LD, class E, class M>
FUNCTION void solve_of(Matrices<LD, E> &room, const M *a, const M *b, M *x, int64 *failed, int32 n, int32 sides,
                       int64 a_down, int64 a_across, int64 b_down, int64 b_across, int64 x_down, int64 x_across) {
  constexpr int TEAM = 32;
  load<TEAM, LD>(room.s, a, n, n, a_down, a_across);
  eliminate<LD>(room.s, n, n, room.pivots);
  bool has_failed = false;
  for (int32 k = 0; k < n; ++k) has_failed |= is_zero(room.s[k * LD + k]);
  if (member<TEAM>() == 0) *failed = has_failed;
  for (int32 first = 0; first < sides && !has_failed; first += LD - 1) {
    const int32 count = sides - first < LD - 1 ? sides - first : LD - 1;
    load<TEAM, LD>(room.x, b + first * b_across, n, count, b_down, b_across);
    EACH(r, count) {
      for (int32 k = 0; k < n; ++k) {
        const E moved = room.x[k * LD + r];
        room.x[k * LD + r] = room.x[room.pivots[k] * LD + r];
        room.x[room.pivots[k] * LD + r] = moved;
      }
    }
    meet<TEAM>();
    substitute<LD>(room.s, room.x, n, count, true, true);
    substitute<LD>(room.s, room.x, n, count, false, false);
    store<TEAM, LD>(room.x, x + first * x_across, n, count, x_down, x_across);
  }
}

// Triangular equations. Element (i, j) of the triangle is `down` i and `across` j elements away, element k of the
// right-hand side r `along` k and `beside` r.
template <int LD, bool LOWER, bool UNIT, bool CONJUGATE, class E>
FUNCTION void triangular_solve_of(Matrices<LD, E> &room, const E *a, E *b, int32 n, int32 sides, int64 down,
                                  int64 across, int64 along, int64 beside) {
  constexpr int TEAM = 32;
  load<TEAM, LD>(room.s, a, n, n, down, across);
  if (CONJUGATE) ALL(j, n) EACH(i, n) room.s[i * LD + j] = conj(room.s[i * LD + j]);
  meet<TEAM>();
  for (int32 first = 0; first < sides; first += LD - 1) {
    const int32 count = sides - first < LD - 1 ? sides - first : LD - 1;
    load<TEAM, LD>(room.x, b + first * beside, n, count, along, beside);
    substitute<LD>(room.s, room.x, n, count, LOWER, UNIT);
    store<TEAM, LD>(room.x, b + first * beside, n, count, along, beside);
  }
}

// Reflections that bring a matrix, which lies column by column, to a triangle.
template <int LD, class E> FUNCTION void reflections_of(Matrices<LD, E> &room, E *a, E *factors, int32 m, int32 n) {
  constexpr int TEAM = 32;
  load<TEAM, LD>(room.s, a, m, n, 1, m);
  reflect<LD>(room.s, m, n, room.factors);
  store<TEAM, LD>(room.s, a, m, n, 1, m);
  EACH(k, m < n ? m : n) factors[k] = room.factors[k];
  meet<TEAM>();
}

// In the place of reflections the first columns of their product.
template <int LD, class E>
FUNCTION void orthogonal_of(Matrices<LD, E> &room, E *a, const E *factors, int32 m, int32 columns, int32 count) {
  constexpr int TEAM = 32;
  load<TEAM, LD>(room.s, a, m, count, 1, m);
  EACH(k, count) room.factors[k] = factors[k];
  meet<TEAM>();
  multiply_reflections<LD>(room.s, room.x, m, columns, count, room.factors);
  store<TEAM, LD>(room.x, a, m, columns, 1, m);
}

// The order that rows are in after exchanges, which are counted from zero.
FUNCTION void permute_of(const int32 *pivots, int32 *order, int32 count) {
  for (int32 k = 0; k < count; ++k) {
    const int32 other = pivots[k], moved = order[k];
    order[k] = order[other];
    order[other] = moved;
  }
}

}  // namespace decompositions
