// The C++ library asks glibc 2.32 and later whether there is one thread only, to leave atomic operations out. Older
// ones have no answer, so the answer is no.
extern "C" {
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;
}
