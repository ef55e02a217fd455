// A fresh large array costs more than the loss: each new page is mapped and zeroed by the kernel, at a
// tenth of the speed of memory. So blocks of 1 MiB and more come from a list of recycled ones, mapped on
// 2 MiB boundaries with huge pages asked for. What the list holds is bounded, and can be given back.
#include "memory.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace focalkit::memory {
namespace {

constexpr std::size_t header = 64;  // in front of each block; keeps its alignment
constexpr std::size_t huge_page = std::size_t{2} << 20;
#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t pooled_from = std::size_t{1} << 60;  // so that every block has ends to run over
#else
constexpr std::size_t pooled_from = std::size_t{1} << 20;
#endif

struct Header {
    std::size_t capacity;  // bytes of the whole mapping
    void* origin;          // what to free
};
static_assert(sizeof(Header) <= header);

Header* header_of(void* block) { return reinterpret_cast<Header*>(static_cast<char*>(block) - header); }

struct Pool {
    std::mutex mutex;
    std::vector<void*> blocks;  // oldest first
    std::size_t held = 0;
    std::size_t limit = std::size_t{1} << 30;
};

Pool& pool() {
    static Pool* instance = new Pool;  // outlives every array that Python still holds at exit
    return *instance;
}

#if defined(__unix__) || defined(__APPLE__)
// A child of fork has one thread: a mutex that another one holds at that moment would stay locked there for ever. So
// fork waits for it, and both sides go on with a free one and a list in order.
const int forks_between_calls =
    pthread_atfork([] { pool().mutex.lock(); }, [] { pool().mutex.unlock(); }, [] { pool().mutex.unlock(); });
#endif

std::size_t rounded(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

void* map(std::size_t bytes) {
    const bool large = bytes >= pooled_from;
    const std::size_t capacity = rounded(bytes + header, large ? huge_page : 64);
#if defined(_WIN32)
    void* origin = _aligned_malloc(capacity, 64);
#elif defined(__SANITIZE_ADDRESS__)
    void* origin = nullptr;
    if (posix_memalign(&origin, 64, bytes + header) != 0) origin = nullptr;
#else
    void* origin = std::aligned_alloc(large ? huge_page : 64, capacity);
#endif
    if (!origin) throw std::bad_alloc();
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (large) madvise(origin, capacity, MADV_HUGEPAGE);
#endif
    void* block = static_cast<char*>(origin) + header;
    *header_of(block) = {capacity, origin};
    return block;
}

void unmap(void* block) noexcept {
#if defined(_WIN32)
    _aligned_free(header_of(block)->origin);
#else
    std::free(header_of(block)->origin);
#endif
}

}  // namespace

void* acquire(std::size_t bytes) {
    if (bytes >= pooled_from) {
        Pool& p = pool();
        const std::lock_guard lock(p.mutex);
        // the smallest that fits, and that does not waste more than it serves
        auto best = p.blocks.end();
        for (auto it = p.blocks.begin(); it != p.blocks.end(); ++it) {
            const std::size_t capacity = header_of(*it)->capacity;
            if (capacity < bytes + header || capacity > 2 * bytes + huge_page) continue;
            if (best == p.blocks.end() || capacity <= header_of(*best)->capacity) best = it;
        }
        if (best != p.blocks.end()) {
            void* block = *best;
            p.held -= header_of(block)->capacity;
            p.blocks.erase(best);
            return block;
        }
    }
    return map(bytes);
}

void release(void* block) noexcept {
    if (!block) return;
    const std::size_t capacity = header_of(block)->capacity;
    if (capacity < pooled_from + header) return unmap(block);
    std::vector<void*> dropped;
    try {
        Pool& p = pool();
        const std::lock_guard lock(p.mutex);
        if (capacity > p.limit) {
            dropped.push_back(block);
        } else {
            p.blocks.push_back(block);
            p.held += capacity;
            while (p.held > p.limit) {  // the oldest make room
                void* oldest = p.blocks.front();
                dropped.push_back(oldest);
                p.blocks.erase(p.blocks.begin());
                p.held -= header_of(oldest)->capacity;
            }
        }
    } catch (...) {  // no memory even for the list: give the block itself back
        return unmap(block);
    }
    for (void* each : dropped) unmap(each);
}

std::size_t held() noexcept {
    Pool& p = pool();
    const std::lock_guard lock(p.mutex);
    return p.held;
}

std::size_t limit() noexcept {
    Pool& p = pool();
    const std::lock_guard lock(p.mutex);
    return p.limit;
}

std::size_t release_held() noexcept {
    std::vector<void*> dropped;
    std::size_t bytes = 0;
    {
        Pool& p = pool();
        const std::lock_guard lock(p.mutex);
        dropped.swap(p.blocks);
        bytes = p.held;
        p.held = 0;
    }
    for (void* each : dropped) unmap(each);
    return bytes;
}

void set_limit(std::size_t bytes) noexcept {
    {
        Pool& p = pool();
        const std::lock_guard lock(p.mutex);
        p.limit = bytes;
        if (p.held <= bytes) return;
    }
    release_held();
}

void prefer_huge_pages([[maybe_unused]] void* data, [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    const auto first = rounded(reinterpret_cast<std::uintptr_t>(data), huge_page);
    const auto last = (reinterpret_cast<std::uintptr_t>(data) + bytes) / huge_page * huge_page;
    if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

}  // namespace focalkit::memory
