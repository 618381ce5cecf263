// A CUDA device on the host: blocks one after the other, each thread of a block as a fiber. Work is done when it is
// submitted or, if it is to be late, when somebody waits for its stream, so that all is seen that relies on more.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <complex>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>
#include <link.h>
#include <sys/mman.h>
#include "races.h"

#if !defined(__x86_64__)
#error "the emulator switches fibers in the machine language of x86-64"
#endif

extern "C" {
struct Three { unsigned x, y, z; };
Three threadIdx, blockIdx, blockDim, gridDim;
}
#include "accesses.h"

extern "C" {
unsigned char *emulated_shared;
double (*emulated_erfinv)(double, int), (*emulated_erfcinv)(double, int), (*emulated_ndtri)(double, int);
double (*emulated_erfcx)(double, int), (*emulated_i0)(double, int), (*emulated_i1)(double, int);
void emulated_switch(void **save, void *load);
}
asm(".text\n.globl emulated_switch\nemulated_switch:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n");

namespace {
enum State : unsigned char { FRESH, READY, AT_BLOCK, AT_WARP, DONE };
struct Fiber { void *sp; int stack; State state; unsigned parity; };
struct Warp { unsigned arrived; unsigned char slots[2][32][8]; };

const size_t STACK = 128 << 10;
std::vector<Fiber> fibers;
std::vector<Warp> warps;
std::vector<char *> stacks;
std::vector<int> order, free_stacks;
std::vector<unsigned char> shared_room;
int current, count, next_in_order, done, waiting, order_mode;
void *scheduler;
typedef unsigned (*Kernel)(void **given, unsigned char *sizes);
Kernel body;
void **arguments;
char message[256];
std::recursive_mutex one_at_a_time;

void become(int t) {
  current = t;
  threadIdx = {t % blockDim.x, t / blockDim.x % blockDim.y, t / (blockDim.x * blockDim.y)};
}

void run_fiber() {  // threads that never wait run one after the other on the same stack
  for (;;) {
    body(arguments, nullptr);
    const int stack = fibers[current].stack;
    fibers[current].state = DONE;
    done++;
    while (next_in_order < count && fibers[order[next_in_order]].state != FRESH) next_in_order++;
    if (next_in_order == count) {
      free_stacks.push_back(stack);
      void *dead;
      emulated_switch(&dead, scheduler);
    }
    const int t = order[next_in_order++];
    fibers[t].state = READY;
    fibers[t].stack = stack;
    become(t);
  }
}

char *room_for_stacks() {  // of all threads that a block may have; pages are there when they are used
  static char *const room = (char *)mmap(nullptr, 1024 * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  races::stacks_begin = (uintptr_t)room;
  races::stacks_end = (uintptr_t)room + 1024 * STACK;
  return room;
}

void resume(int t) {
  Fiber &fiber = fibers[t];
  become(t);
  if (fiber.state == FRESH) {
    if (free_stacks.empty()) {
      stacks.push_back(room_for_stacks() + stacks.size() * STACK);
      free_stacks.push_back((int)stacks.size() - 1);
    }
    fiber.stack = free_stacks.back();
    free_stacks.pop_back();
    void **top = (void **)((uintptr_t)(stacks[fiber.stack] + STACK) & ~(uintptr_t)15);
    *--top = nullptr;  // in place of a return address, so that the stack is aligned as after a call
    *--top = (void *)run_fiber;
    for (int k = 0; k < 6; k++) *--top = nullptr;
    fiber.sp = top;
    fiber.state = READY;
  }
  emulated_switch(&scheduler, fiber.sp);
}

__attribute__((noinline)) void wait(State state) {
  Fiber &fiber = fibers[current];
  fiber.state = state;
  emulated_switch(&fiber.sp, scheduler);
}

bool run_block() {
  done = waiting = next_in_order = 0;
  for (auto &fiber : fibers) fiber = {nullptr, -1, FRESH, 0};
  for (auto &warp : warps) warp.arrived = 0;
  if (races::is_watching) races::begin_block(count);
  free_stacks.clear();
  for (size_t k = 0; k < stacks.size(); k++) free_stacks.push_back((int)k);
  while (done < count) {
    bool has_run = false;
    for (int k = 0; k < count; k++) {
      const int t = order[k];
      if (fibers[t].state <= READY) {
        resume(t);
        has_run = true;
      }
    }
    if (has_run) continue;
    if (waiting != count) {
      snprintf(message, sizeof message, "deadlock in block (%u, %u, %u): %d of %d threads at __syncthreads, %d ended",
               blockIdx.x, blockIdx.y, blockIdx.z, waiting, count, done);
      return false;
    }
    waiting = 0;
    if (races::is_watching) races::all_have_met();
    for (auto &fiber : fibers) fiber.state = READY;
  }
  return true;
}

void set_order(uint64_t block) {
  uint64_t seed = 0x9E3779B97F4A7C15ull * (block + 1);
  for (int k = 0; k < count; k++) order[k] = order_mode == 1 ? count - 1 - k : k;
  for (int k = count - 1; order_mode > 1 && k > 0; k--) {
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    std::swap(order[k], order[(seed >> 33) % (k + 1)]);
  }
}

struct Launch {
  Kernel kernel;
  Three grid, block;
  unsigned shared;
  std::vector<uint64_t> values;
};

Launch made(void *kernel, Three grid, Three block, unsigned shared, void **given) {
  unsigned char sizes[4096];  // a parameter has a byte at least
  Launch launch{(Kernel)kernel, grid, block, shared, {}};
  launch.values.resize(launch.kernel(nullptr, sizes));
  for (size_t k = 0; k < launch.values.size(); k++) memcpy(&launch.values[k], given[k], sizes[k]);
  return launch;
}

int refused_grid(const Launch &launch) {
  const Three &g = launch.grid, &b = launch.block;
  const uint64_t threads = (uint64_t)b.x * b.y * b.z;
  if (g.x && g.y && g.z && threads && threads <= 1024 && g.x < 1u << 31 && g.y <= 65535 && g.z <= 65535 &&
      launch.shared <= 232448)
    return 0;
  snprintf(message, sizeof message, "a grid of (%u, %u, %u) blocks of %d threads with %u bytes", g.x, g.y, g.z,
           (int)threads, launch.shared);
  return 1;
}

int find_data(dl_phdr_info *info, size_t, void *kernel) {  // what the text of a kernel declares as shared is static here
  bool is_its_own = false;
  for (int k = 0; k < info->dlpi_phnum; k++) {
    const auto &part = info->dlpi_phdr[k];
    const uintptr_t begin = info->dlpi_addr + part.p_vaddr;
    if (part.p_type != PT_LOAD) continue;
    is_its_own = is_its_own || ((uintptr_t)kernel >= begin && (uintptr_t)kernel < begin + part.p_memsz);
    if (is_its_own && part.p_flags & PF_W) {
      races::static_begin = begin;
      races::static_end = begin + part.p_memsz;
    }
  }
  return is_its_own;
}

void watch(const Launch &launch, uint64_t blocks) {
  races::begin_launch(blocks);
  races::shared_begin = (uintptr_t)shared_room.data();
  races::shared_end = races::shared_begin + shared_room.size();
  dl_iterate_phdr(find_data, (void *)launch.kernel);
}

int run(const Launch &launch) {
  gridDim = launch.grid;
  blockDim = launch.block;
  count = (int)(blockDim.x * blockDim.y * blockDim.z);
  fibers.resize(count);
  warps.resize((count + 31) / 32);
  order.resize(count);
  shared_room.resize(launch.shared + 16);
  emulated_shared = (unsigned char *)(((uintptr_t)shared_room.data() + 15) & ~(uintptr_t)15);
  std::vector<void *> given;
  for (const uint64_t &value : launch.values) given.push_back((void *)&value);
  body = launch.kernel;
  arguments = given.data();
  const uint64_t gx = gridDim.x, gy = gridDim.y, blocks = gx * gy * gridDim.z;
  if (races::is_watching) watch(launch, blocks);
  for (uint64_t k = 0; k < blocks; k++) {
    const uint64_t b = order_mode ? blocks - 1 - k : k;
    blockIdx = {(unsigned)(b % gx), (unsigned)(b / gx % gy), (unsigned)(b / gx / gy)};
    memset(shared_room.data(), 0xff, shared_room.size());
    set_order(k);
    const bool is_done = run_block();
    races::settle();
    races::is_inside = false;
    if (!is_done) return 719;
  }
  if (!races::is_watching || !races::found[0]) return 0;
  snprintf(message, sizeof message, "%s", races::found);
  return 719;
}

// ---- streams

bool is_late;
int fault;  // of work that was done late: from then on every call returns it
std::map<void *, std::deque<std::function<int()>>> streams;
std::map<std::string, int> refusals;
std::map<std::string, long> calls;

int refused(const char *name) {
  calls[name]++;
  const auto found = refusals.find(name);
  return found == refusals.end() ? fault : found->second;
}

int submitted(void *stream, std::function<int()> work) {
  if (!is_late) return work();
  streams[stream].push_back(std::move(work));
  return 0;
}

int drained(void *stream) {
  auto &queue = streams[stream];
  while (!fault && !queue.empty()) {
    const auto work = std::move(queue.front());
    queue.pop_front();
    fault = work();
  }
  return fault;
}

// ---- graphs

struct Graph { std::vector<Launch> nodes; std::vector<std::vector<size_t>> after; };
struct Executable { Graph *of; std::vector<Launch> nodes; std::vector<std::vector<size_t>> after; };
struct NodeParams {
  void *kernel;
  Three grid, block;
  unsigned shared;
  void **given, **extra;
  void *library_kernel, *context;
};
static_assert(sizeof(NodeParams) == 72, "CUDA_KERNEL_NODE_PARAMS_v2");
std::set<Graph *> graphs;
std::set<Executable *> executables;

Launch made(const NodeParams &p) { return made(p.kernel, p.grid, p.block, p.shared, p.given); }

int run(const Executable &executable) {  // what nothing has to come before goes last first
  std::vector<bool> is_done(executable.nodes.size());
  for (size_t left = is_done.size(); left; left--)
    for (size_t k = is_done.size(); k--;) {
      bool is_ready = !is_done[k];
      for (size_t before : executable.after[k]) is_ready = is_ready && is_done[before];
      if (!is_ready) continue;
      if (const int code = run(executable.nodes[k])) return code;
      is_done[k] = true;
      break;
    }
  return 0;
}

// The upper half of a float, rounded to even.
struct Bfloat16 {
  uint16_t bits;
  Bfloat16(float x) {
    uint32_t whole;
    memcpy(&whole, &x, sizeof whole);
    bits = x != x ? 0x7fc0 : (whole + 0x7fff + (whole >> 16 & 1)) >> 16;
  }
  operator float() const {
    const uint32_t whole = (uint32_t)bits << 16;
    float x;
    memcpy(&x, &whole, sizeof x);
    return x;
  }
};

template <class S, class T>  // sums, and elements
int multiply(int x_is_turned, int y_is_turned, int64_t m, int64_t n, int64_t k, const S *alpha, const T *x, int64_t x_lead,
             int64_t x_way, const T *y, int64_t y_lead, int64_t y_way, const S *beta, T *z, int64_t z_lead, int64_t z_way,
             int64_t batch) {
  for (int64_t b = 0; b < batch; b++)
    for (int64_t column = 0; column < n; column++)
      for (int64_t row = 0; row < m; row++) {
        S sum = 0;
        for (int64_t i = 0; i < k; i++)
          sum += (S)x[b * x_way + (x_is_turned ? row * x_lead + i : i * x_lead + row)] *
                 (S)y[b * y_way + (y_is_turned ? i * y_lead + column : column * y_lead + i)];
        T &place = z[b * z_way + column * z_lead + row];
        place = (T)(*alpha * sum + (*beta == S(0) ? S(0) : *beta * (S)place));
      }
  return 0;
}

// What cuBLAS takes as sizes and leading dimensions.
bool refused_product(int64_t x_rows, int64_t y_rows, int64_t m, int64_t n, int64_t k, int64_t x_lead, int64_t y_lead,
                     int64_t z_lead, int64_t batch) {
  if (m >= 0 && n >= 0 && k >= 0 && batch >= 0 && x_lead >= std::max<int64_t>(1, x_rows) &&
      y_lead >= std::max<int64_t>(1, y_rows) && z_lead >= std::max<int64_t>(1, m))
    return false;
  snprintf(message, sizeof message, "a product of %lld x %lld by %lld with ways of %lld, %lld and %lld", (long long)m,
           (long long)k, (long long)n, (long long)x_lead, (long long)y_lead, (long long)z_lead);
  return true;
}
}  // namespace

extern "C" {
void emulated_order(int mode) { order_mode = mode; }
const char *emulated_message() { return message; }
int emulated_lane() { return current & 31; }

void emulated_syncthreads() {
  waiting++;
  wait(AT_BLOCK);
}

static void meet(unsigned mask, bool orders_memory) {
  Warp &warp = warps[current >> 5];
  const int base = current & ~31;
  if (!(mask >> (current & 31) & 1)) abort();
  if (count - base < 32) mask &= (1u << (count - base)) - 1;
  warp.arrived |= 1u << (current & 31);
  if ((warp.arrived & mask) != mask) {
    wait(AT_WARP);
    return;
  }
  warp.arrived &= ~mask;
  if (orders_memory && races::is_watching) races::have_met(base, mask, count);
  for (int lane = 0; lane < 32; lane++)
    if (mask >> lane & 1 && base + lane != current) fibers[base + lane].state = READY;
}

void emulated_syncwarp(unsigned mask) { meet(mask, true); }

void emulated_exchange(unsigned mask, const void *given, void *taken, unsigned size, int from) {
  const unsigned parity = fibers[current].parity ^= 1;
  Warp &warp = warps[current >> 5];
  memcpy(warp.slots[parity][current & 31], given, size);
  meet(mask, false);
  memcpy(taken, warp.slots[parity][from & 31], size);
}

// ---- what is done with memory, for races and for how many pieces of memory are asked for

void emulated_watch_accesses(size_t first, size_t size) { accesses::watch(first, size); }
void emulated_begin_accesses() { accesses::begin(); }
long emulated_counted_accesses(int is_write) {
  accesses::settle();
  return accesses::counted[is_write];
}

void emulated_watch(int is_on) { races::is_watching = is_on; }
void emulated_atomic(const void *place, unsigned size) {
  accesses::note(place, size, __builtin_return_address(0), true);
  if (races::is_inside) races::touch(place, size, current, races::ATOMIC);
}
void emulated_count(int is_the_last) {
  if (races::is_inside) races::count(is_the_last);
}
void __tsan_init() {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}
static void touch(const void *place, size_t size, void *code, bool is_write) {
  accesses::note(place, size, code, is_write);
  if (races::is_inside) races::touch(place, size, current, is_write ? races::WRITE : races::READ);
}
void __tsan_read_range(void *place, size_t size) { touch(place, size, __builtin_return_address(0), false); }
void __tsan_write_range(void *place, size_t size) { touch(place, size, __builtin_return_address(0), true); }
#define TOUCHES(NAME, SIZE, IS_WRITE) \
  void __tsan_##NAME(void *place) { touch(place, SIZE, __builtin_return_address(0), IS_WRITE); }
#define TOUCHED(SIZE)                                                            \
  TOUCHES(read##SIZE, SIZE, false)                                               \
  TOUCHES(write##SIZE, SIZE, true)                                               \
  TOUCHES(unaligned_read##SIZE, SIZE, false)                                     \
  TOUCHES(unaligned_write##SIZE, SIZE, true)                                     \
  void __tsan_volatile_read##SIZE(void *place) {                                 \
    accesses::note(place, SIZE, __builtin_return_address(0), false);             \
    if (races::is_inside) races::touch(place, SIZE, current, races::ATOMIC);     \
  }
TOUCHED(1)
TOUCHED(2)
TOUCHED(4)
TOUCHED(8)
TOUCHED(16)

// How the device behaves: whether work is late, and which functions refuse to work.
void emulated_late(int late) {
  is_late = late;
  fault = 0;
  streams.clear();
}
void emulated_refuse(const char *name, int code) {
  if (code) refusals[name] = code;
  else refusals.erase(name);
}
long emulated_calls(const char *name) { return calls[name]; }
int emulated_nothing() { return 0; }
int emulated_spoil(void *memory, size_t size, void *stream) {  // in the order of a stream: nobody may read it any more
  std::lock_guard<std::recursive_mutex> lock(one_at_a_time);
  if (is_late) submitted(stream, [=] { return memset(memory, 0xff, size), 0; });
  return 0;
}

// The functions of CUDA that programs call, under names of their own.
#define CALLED(name)                                             \
  std::lock_guard<std::recursive_mutex> lock(one_at_a_time);     \
  if (const int code = refused(name)) return code;
int emulated_cuLaunchKernel(void *kernel, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                            unsigned shared, void *stream, void **given, void **) {
  CALLED("cuLaunchKernel")
  const Launch launch = made(kernel, {gx, gy, gz}, {bx, by, bz}, shared, given);
  if (refused_grid(launch)) return 1;
  return submitted(stream, [launch] { return run(launch); });
}
int emulated_cuMemcpyDtoHAsync_v2(void *to, const void *from, size_t size, void *stream) {
  CALLED("cuMemcpyDtoHAsync_v2")
  return submitted(stream, [=] { return memcpy(to, from, size), 0; });
}
int emulated_cuMemcpyHtoDAsync_v2(void *to, const void *from, size_t size, void *stream) {
  CALLED("cuMemcpyHtoDAsync_v2")
  return submitted(stream, [=] { return memcpy(to, from, size), 0; });
}
int emulated_cuMemsetD8Async(void *to, unsigned char x, size_t size, void *stream) {
  CALLED("cuMemsetD8Async")
  return submitted(stream, [=] { return memset(to, x, size), 0; });
}
int emulated_cuStreamSynchronize(void *stream) {
  CALLED("cuStreamSynchronize")
  return drained(stream);
}
int emulated_cuGetErrorName(int code, const char **name) {
  static std::map<int, std::string> names;
  *name = (names[code] = "CUDA_ERROR_" + std::to_string(code)).c_str();
  return 0;
}
int emulated_cuGetErrorString(int, const char **text) {
  *text = message;
  return 0;
}
const char *emulated_cublasGetStatusName(int code) { return code == 7 ? "CUBLAS_STATUS_INVALID_VALUE" : "CUBLAS_STATUS"; }
const char *emulated_cublasGetStatusString(int) { return message; }
int emulated_cuCtxGetCurrent(void **context) {
  CALLED("cuCtxGetCurrent")
  *context = message;
  return 0;
}
int emulated_cuStreamIsCapturing(void *, int *status) {
  CALLED("cuStreamIsCapturing")
  return *status = 0;
}
int emulated_cuGraphCreate(void **graph, unsigned flags) {
  CALLED("cuGraphCreate")
  *graph = *graphs.insert(new Graph).first;
  return flags ? 1 : 0;
}
int emulated_cuGraphAddKernelNode_v2(void **node, void *graph, void **before, size_t count, const NodeParams *params) {
  CALLED("cuGraphAddKernelNode_v2")
  Graph *own = (Graph *)graph;
  if (!graphs.count(own) || params->extra || refused_grid(made(*params))) return 1;
  own->after.emplace_back();
  for (size_t k = 0; k < count; k++) own->after.back().push_back((size_t)before[k] - 1);
  own->nodes.push_back(made(*params));
  *node = (void *)own->nodes.size();
  return 0;
}
int emulated_cuGraphInstantiateWithFlags(void **executable, void *graph, unsigned long long flags) {
  CALLED("cuGraphInstantiateWithFlags")
  Graph *own = (Graph *)graph;
  if (!graphs.count(own)) return 1;
  *executable = *executables.insert(new Executable{own, own->nodes, own->after}).first;
  return flags ? 1 : 0;
}
int emulated_cuGraphExecKernelNodeSetParams_v2(void *executable, void *node, const NodeParams *params) {
  CALLED("cuGraphExecKernelNodeSetParams_v2")
  Executable *own = (Executable *)executable;
  if (!executables.count(own) || !graphs.count(own->of) || (size_t)node - 1 >= own->nodes.size()) return 1;
  own->nodes[(size_t)node - 1] = made(*params);
  return 0;
}
int emulated_cuGraphLaunch(void *executable, void *stream) {
  CALLED("cuGraphLaunch")
  Executable *own = (Executable *)executable;
  if (!executables.count(own) || !graphs.count(own->of)) return 1;
  const Executable now = *own;
  return submitted(stream, [now] { return run(now); });
}
int emulated_cuGraphExecDestroy(void *executable) {
  CALLED("cuGraphExecDestroy")
  if (!executables.erase((Executable *)executable)) return 1;
  delete (Executable *)executable;
  return 0;
}
int emulated_cuGraphDestroy(void *graph) {
  CALLED("cuGraphDestroy")
  if (!graphs.erase((Graph *)graph)) return 1;
  delete (Graph *)graph;
  return 0;
}

#define PRODUCT(NAME, T)                                                                                               \
  int emulated_cublas##NAME##gemmStridedBatched_64(                                                                    \
      void *stream, int a, int b, int64_t m, int64_t n, int64_t k, const void *alpha, const void *x, int64_t x_lead,   \
      int64_t x_way, const void *y, int64_t y_lead, int64_t y_way, const void *beta, void *z, int64_t z_lead,          \
      int64_t z_way, int64_t batch) {                                                                                  \
    CALLED("cublas" #NAME "gemmStridedBatched_64")                                                                     \
    if (refused_product(a ? k : m, b ? n : k, m, n, k, x_lead, y_lead, z_lead, batch)) return 7;                       \
    return submitted(stream, [=] {                                                                                     \
      return multiply<T, T>(a, b, m, n, k, (const T *)alpha, (const T *)x, x_lead, x_way, (const T *)y, y_lead, y_way,    \
                         (const T *)beta, (T *)z, z_lead, z_way, batch);                                               \
    });                                                                                                                \
  }
PRODUCT(S, float)
PRODUCT(D, double)
PRODUCT(C, std::complex<float>)
PRODUCT(Z, std::complex<double>)
int emulated_cublasGemmStridedBatchedEx_64(
    void *stream, int a, int b, int64_t m, int64_t n, int64_t k, const void *alpha, const void *x, int x_type, int64_t x_lead,
    int64_t x_way, const void *y, int y_type, int64_t y_lead, int64_t y_way, const void *beta, void *z, int z_type,
    int64_t z_lead, int64_t z_way, int64_t batch, int sums, int algorithm) {
  const bool is_half = x_type == 2 && y_type == 2 && z_type == 2, is_bfloat = x_type == 14 && y_type == 14 && z_type == 14;
  if (!(is_half || is_bfloat) || sums != 68 || algorithm != -1) return 15;  // all but these
  CALLED("cublasGemmStridedBatchedEx_64")
  if (refused_product(a ? k : m, b ? n : k, m, n, k, x_lead, y_lead, z_lead, batch)) return 7;
  return submitted(stream, [=] {
    if (is_bfloat)
      return multiply<float, Bfloat16>(a, b, m, n, k, (const float *)alpha, (const Bfloat16 *)x, x_lead, x_way,
                                       (const Bfloat16 *)y, y_lead, y_way, (const float *)beta, (Bfloat16 *)z, z_lead,
                                       z_way, batch);
    return multiply<float, _Float16>(a, b, m, n, k, (const float *)alpha, (const _Float16 *)x, x_lead, x_way,
                                     (const _Float16 *)y, y_lead, y_way, (const float *)beta, (_Float16 *)z, z_lead,
                                     z_way, batch);
  });
}
}
