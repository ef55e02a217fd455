// Recycled memory for large results and for scratch.
#pragma once
#include <cstddef>

namespace focalkit::memory {

/// At least ``bytes``, aligned to 64; contents undefined. Throws std::bad_alloc.
void* acquire(std::size_t bytes);
/// Gives memory of ``acquire`` back, to be held for the next call or freed.
void release(void* block) noexcept;
/// Bytes held for later use, not counting what is in use.
std::size_t held() noexcept;
/// Frees all that is held; returns how much that was.
std::size_t release_held() noexcept;
/// The most that is ever held.
std::size_t limit() noexcept;
void set_limit(std::size_t bytes) noexcept;

/// Asks for huge pages under fresh memory of somebody else that is about to be written.
void prefer_huge_pages(void* data, std::size_t bytes) noexcept;

}  // namespace focalkit::memory
