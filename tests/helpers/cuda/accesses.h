// Which pieces of memory warps ask for: kernels compiled with -fsanitize=thread call a function for each access.
//
// A request is what the threads of a warp do at one place of the code, each for the same time. Memory answers it in
// sectors of 32 bytes.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

namespace accesses {
typedef uintptr_t Address;
const Address SECTOR = 32;
std::vector<std::pair<Address, Address>> watched;
std::map<std::pair<unsigned, Address>, unsigned> times;                  // by thread and place of the code
std::map<std::tuple<unsigned, Address, unsigned>, std::set<Address>> requests;  // by warp, place and time: the sectors
unsigned block = ~0u;
long counted[2];  // sectors that are read, and that are written

unsigned now() { return blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z); }

void settle() {
  for (const auto &request : requests) counted[std::get<1>(request.first) & 1] += (long)request.second.size();
  requests.clear();
  times.clear();
}

bool is_watched(Address address) {
  for (const auto &range : watched)
    if (range.first <= address && address < range.second) return true;
  return false;
}

void note(const void *place, Address size, void *code, bool is_write) {
  const Address first = (Address)place;
  if (!is_watched(first)) return;
  if (block != now()) settle();
  block = now();
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const Address where = (Address)code << 1 | is_write;
  auto &sectors = requests[{thread / 32, where, times[{thread, where}]++}];
  for (Address sector = first / SECTOR; sector <= (first + size - 1) / SECTOR; sector++) sectors.insert(sector);
}

void watch(Address first, Address size) { watched.push_back({first, first + size}); }
void begin() {
  watched.clear();
  requests.clear();
  times.clear();
  counted[0] = counted[1] = 0;
  block = ~0u;
}
}  // namespace accesses
