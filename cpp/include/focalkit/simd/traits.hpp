// The one type trait the kernels need; the standard header would bring templates shared between instruction sets.
#pragma once

namespace focalkit::FOCALKIT_ISA {

template <class P>
struct Pointee;
template <class T>
struct Pointee<T*> {
    typedef T type;
};
/// The type a (null) pointer stands for.
template <class P>
using pointee = typename Pointee<P>::type;

}  // namespace focalkit::FOCALKIT_ISA
