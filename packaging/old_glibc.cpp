// What the C++ library that is linked in asks of newer versions of glibc than the wheel promises to run with.
#include <sys/random.h>

#include <cstdint>
#include <cstdlib>

extern "C" {

/// glibc 2.32: whether there is one thread only, to leave atomic operations out. Nobody knows, so the answer is no.
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;

/// glibc 2.36, for std::random_device, which nothing here uses.
__attribute__((visibility("hidden"))) std::uint32_t arc4random() {
    std::uint32_t number = 0;
    if (getentropy(&number, sizeof number) != 0) std::abort();
    return number;
}
}
