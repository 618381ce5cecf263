// Which threads of a kernel touch the same memory without one having waited for the other. The text of kernels is
// compiled with -fsanitize=thread, which has every access call a function; these are ours, and know fibers.
//
// What a thread does comes after what another one has done before a __syncthreads of both, or a __syncwarp of both. A
// shuffle orders no memory, whatever threads do. Blocks come after each other only by a counter (atomicInc): the one that
// finds that it is the last comes after what all have done before they counted. Atomic updates, and reads of what is
// volatile, meet each other anywhere; and all threads may write the same, as lanes do whose loops count alike.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

namespace races {
enum Kind : uint8_t { READ, WRITE, ATOMIC };
const char *const NAMES[] = {"read", "written", "updated"};
struct Access { uint32_t block = 0, epoch = 0; uint16_t thread = 0; uint16_t clock = 0; Kind kind = READ; };
struct Byte { Access write, reads[2]; };  // the last write, or update, and the last reads of two threads
const size_t PAGE = 4096;

bool is_watching, is_inside;  // kernels are to be watched; a thread of one is running
uint32_t block, epoch, first_block;  // numbers of blocks are those of all launches
std::vector<uint16_t> clocks;  // for each thread, how far it knows those of its warp, itself included
std::map<uintptr_t, std::unique_ptr<Byte[]>> pages;
std::vector<bool> has_counted;  // for each block of the launch
bool is_last;  // whether the block has found that all others have counted
uintptr_t stacks_begin, stacks_end, shared_begin, shared_end, static_begin, static_end;
char found[256];

uint16_t &clock_of(unsigned thread, unsigned lane) { return clocks[thread * 32 + lane]; }

void begin_launch(size_t blocks) {
  first_block = block + 1;
  has_counted.assign(blocks, false);
  found[0] = 0;
}
void begin_block(unsigned threads) {
  block++;
  epoch++;
  is_inside = true;
  is_last = false;
  clocks.assign(threads * 32, 0);
  for (unsigned t = 0; t < threads; t++) clock_of(t, t & 31) = 1;
}
void all_have_met() { epoch++; }
void have_met(unsigned base, unsigned mask, unsigned threads) {
  uint16_t known[32] = {};
  for (unsigned lane = 0; lane < 32; lane++)
    if (mask >> lane & 1 && base + lane < threads)
      for (unsigned k = 0; k < 32; k++)
        if (clock_of(base + lane, k) > known[k]) known[k] = clock_of(base + lane, k);
  for (unsigned lane = 0; lane < 32; lane++)
    if (mask >> lane & 1 && base + lane < threads) {
      memcpy(&clock_of(base + lane, 0), known, sizeof known);
      clock_of(base + lane, lane)++;
    }
}
void count(bool is_the_last) {
  has_counted[block - first_block] = true;
  is_last = is_the_last;
}

bool is_shared(uintptr_t p) {
  return (p >= shared_begin && p < shared_end) || (p >= static_begin && p < static_end);
}
bool is_after(const Access &before, unsigned thread) {
  if (before.block < first_block) return true;
  if (before.block != block) return is_last && has_counted[before.block - first_block];
  if (before.epoch != epoch || before.thread == thread) return true;
  return before.thread / 32 == thread / 32 && before.clock <= clock_of(thread, before.thread & 31);
}
void tell(const Access &before, const Access &now, uintptr_t p) {
  if (found[0]) return;
  snprintf(found, sizeof found, "race: %s memory %s by thread %u of block %u is %s by thread %u of block %u",
           is_shared(p) ? "shared" : "global", NAMES[before.kind], before.thread, before.block - first_block,
           NAMES[now.kind], now.thread, now.block - first_block);
}

// Two writes of which the second one is under way: whether it changes anything is known later.
struct Suspect { Access before, now; uintptr_t place; uint8_t value; };
std::vector<Suspect> suspects;
void settle() {
  for (const Suspect &s : suspects)
    if (*(uint8_t *)s.place != s.value) tell(s.before, s.now, s.place);
  suspects.clear();
}

void touch(uintptr_t p, Byte &byte, unsigned thread, Kind kind) {
  const Access now{block, epoch, (uint16_t)thread, clock_of(thread, thread & 31), kind};
  const bool is_own = is_shared(p);  // each block has another shared memory
  const auto meets = [&](const Access &before) {
    return before.block && !(is_own && before.block != block) && !is_after(before, thread);
  };
  if (meets(byte.write) && kind == WRITE && byte.write.kind == WRITE)
    suspects.push_back({byte.write, now, p, *(uint8_t *)p});
  else if (meets(byte.write) && !(kind == ATOMIC && byte.write.kind == ATOMIC))
    tell(byte.write, now, p);
  if (kind == READ) {
    if (is_own && byte.write.block != block && !found[0])
      snprintf(found, sizeof found, "shared memory is read by thread %u of block %u that nobody has written", thread,
               block - first_block);
    if (byte.reads[0].block == block && byte.reads[0].thread != thread) byte.reads[1] = byte.reads[0];
    byte.reads[0] = now;
    return;
  }
  for (const Access &read : byte.reads)
    if (meets(read)) tell(read, now, p);
  byte.write = now;
}

void touch(const void *place, size_t size, unsigned thread, Kind kind) {
  settle();
  for (uintptr_t p = (uintptr_t)place; size--; p++) {
    if (p >= stacks_begin && p < stacks_end) continue;
    auto &page = pages[p / PAGE];
    if (!page) page.reset(new Byte[PAGE]);
    touch(p, page[p % PAGE], thread, kind);
  }
}
}  // namespace races
