#define FOCALKIT_ISA wide  // functions of its own, whatever instruction sets the kernels are compiled for
#include "wide.hpp"

#include "focalkit/simd/storage.hpp"
#include "focalkit/simd/traits.hpp"

namespace focalkit {
namespace {

constexpr std::int64_t beyond = 16;

/// Calls ``visit(place in the array, place in C order)`` for every element.
template <class Visit>
void each_element(const Job& job, const Array& array, Visit visit) {
    std::int64_t at = 0;
    for (std::int64_t o = 0; o < job.outer; ++o)
        for (std::int64_t k = 0; k < job.classes; ++k)
            for (std::int64_t i = 0; i < job.inner; ++i)
                visit(o * array.outer + k * array.classes + i * array.inner, at++);
}

/// Rounds doubles into an array of the storage type ``type``.
template <class Places>
void round_into(Type type, const double* from, void* data, Places places) {
    wide::with_float_type(type, [&](auto* null) {
        using S = wide::pointee<decltype(null)>;
        using T = typename wide::Compute<S>::type;
        places([&](std::int64_t place, std::int64_t at) {
            wide::narrow(static_cast<T>(from[at]), static_cast<S*>(data) + place);
        });
    });
}

}  // namespace

Wide::Wide(const Job& narrow) : job(narrow), narrow_(narrow) {
    job.type = Type::f64;
    job.logits = like_logits();
    wide::with_float_type(narrow.type, [&](auto* null) {
        using S = wide::pointee<decltype(null)>;
        const S* from = static_cast<const S*>(narrow.logits.data);
        double* to = static_cast<double*>(job.logits.data);
        each_element(narrow, narrow.logits,
                     [&](std::int64_t place, std::int64_t at) { to[at] = wide::widen<double>(from[place]); });
    });
    if (job.order > 0) job.grad = like_logits();
    if (job.order > 1) job.hess = like_logits();
    if (job.losses) job.losses = block(job.units());
    job.losses_unrounded = false;
    ClassParameters& of = job.parameters;
    for (PerClass* one : {&of.gamma, &of.alpha, &of.alpha_other, &of.adjustment, &of.margin}) *one = parameter(*one);
}

double* Wide::block(std::int64_t size) { return blocks_.emplace_back(static_cast<std::size_t>(size)).data(); }

Array Wide::like_logits() {
    Array array;
    array.data = block(job.outer * job.classes * job.inner);
    array.outer = job.outer == 1 ? 0 : job.classes * job.inner;
    array.classes = job.classes == 1 ? 0 : job.inner;
    array.inner = job.inner == 1 ? 0 : 1;
    return array;
}

PerClass Wide::parameter(const PerClass& narrow) {
    if (!narrow) return narrow;
    const std::int64_t size = narrow.per_class ? job.classes : 1;
    double* to = block(size + beyond);  // vectors are read to their end in whole registers
    for (std::int64_t k = 0; k < size; ++k) to[k] = static_cast<double>(static_cast<const float*>(narrow.values)[k]);
    return {to, narrow.per_class};
}

void Wide::write_back() const {
    const auto like = [&](const Array& from, const Array& to) {
        round_into(narrow_.type, static_cast<const double*>(from.data), to.data,
                   [&](auto visit) { each_element(narrow_, to, visit); });
    };
    if (job.order > 0) like(job.grad, narrow_.grad);
    if (job.order > 1) like(job.hess, narrow_.hess);
    if (job.losses)
        round_into(narrow_.losses_unrounded ? Type::f32 : narrow_.type, static_cast<const double*>(job.losses),
                   narrow_.losses, [&](auto visit) {
                       for (std::int64_t i = 0; i < job.units(); ++i) visit(i, i);
                   });
}

}  // namespace focalkit
