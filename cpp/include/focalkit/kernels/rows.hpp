// Rows of contiguous classes and hard targets: what the kernels for short and for long ones share.
//
// Logits are copied into scratch, where the true class is masked by -inf; what depends on
// the row alone is then done for many rows at once, a lane a row; and the exponentials are scaled into the
// result, with stores that do not read it first where it is large.
#pragma once
#include "focalkit/math/forms.hpp"
#include "focalkit/math/links.hpp"
#include "focalkit/kernels/tiles.hpp"

namespace focalkit::FOCALKIT_ISA {

inline bool suits_rows(const Job& job) {
    return !job.soft && job.label_smoothing == 0 && job.classes >= 64 && job.logits.classes == 1 &&
           job.classes < (std::int64_t{1} << 30) && (job.order < 1 || job.grad.classes == 1) &&
           (job.order < 2 || job.hess.classes == 1);
}

template <class T>
FOCALKIT_INLINE int whole_vectors(std::int64_t n) {
    return static_cast<int>((n + width<T> - 1) / width<T> * width<T>);
}

template <class T>
FOCALKIT_INLINE T* aligned(T* memory) {
    return reinterpret_cast<T*>((reinterpret_cast<std::uintptr_t>(memory) + 63) / 64 * 64);
}

/// What is known of each row of a group when its exponentials are: the anchor of those, the largest logit;
/// their sum without the true class; and by what each gives its gradient.
template <class T>
struct RowSums {
    Rows<T> rows;
    T *largest, *total, *pull;
    T logit_scale = 1;  // multiplies the logits, and the Hessian once more than the gradient

    static std::int64_t bytes(int lanes) {
        return Rows<T>::bytes(lanes) + 3 * lanes * static_cast<std::int64_t>(sizeof(T)) + 64;
    }
    T* place(void* scratch, int lanes) {
        largest = rows.place(static_cast<T*>(scratch), lanes);
        total = largest + lanes;
        pull = total + lanes;
        return pull + lanes;
    }
    FOCALKIT_INLINE void load_pulls(int r, Vec<T>& of_row, Vec<T>& d1, Vec<T>& id) const {
        of_row = load(pull + r), d1 = load(rows.d1 + r), id = load(rows.place_of_id + r);
    }
    /// Neutral values for lanes without a row and for skipped rows.
    FOCALKIT_INLINE void blank(int r) const { rows.true_logit[r] = largest[r] = 0, total[r] = 1; }
};

/// A run of logits into scratch, -inf behind its end; returns the largest, lane by lane.
template <class T, class S>
FOCALKIT_INLINE Vec<T> copy_run(const S* z, int n, T* e) {
    using V = Vec<T>;
    constexpr int N = width<T>, U = 4;
    const V lowest = constant<V>(-infinity<T>());
    V top[U] = {lowest, lowest, lowest, lowest};
    const auto take = [&](int place, V logit, V& into) {
        store(e + place, logit);
        into = maximum(logit, into);
    };
    int j = 0;
    for (; j + N * U <= n; j += N * U)
        for (int u = 0; u < U; ++u) take(j + u * N, load_as(z + j + u * N), top[u]);
    for (; j + N <= n; j += N) take(j, load_as(z + j), top[0]);
    if (j < n) take(j, load_some(z + j, n - j, -infinity<T>()), top[1]);
    return maximum(maximum(top[0], top[1]), maximum(top[2], top[3]));
}

/// ``e * factor`` to the result.
template <class T, class S>
FOCALKIT_INLINE void scale_run(const T* e, int n, T factor, S* to, bool streamed) {
    using V = Vec<T>;
    constexpr int N = width<T>;
    const V f = constant<V>(factor);
    if constexpr (sizeof(S) == sizeof(T))
        if (streamed) {
            StreamingWriter<T, true> writes;
            writes.start(e, n, reinterpret_cast<T*>(to), factor);
            writes.finish();
            return;
        }
    int j = 0;
    for (; j + N <= n; j += N) store_as(to + j, V(load(e + j) * f));
    if (j < n) store_some(to + j, V(load_some(e + j, n - j, T(0)) * f), n - j);
}

/// How logits become those of the loss, beside their largest: ``scale (z - largest) + adjustment``. No adjustment is
/// above 0, so that exponentials stay within 1; and the difference is taken first, which is often exact.
template <class T>
struct Adjustment {
    const T* of_class = nullptr;  // null: none
    T scale = 1;

    explicit Adjustment(const Job& job)
        : of_class(static_cast<const T*>(job.parameters.adjustment.values)), scale(static_cast<T>(job.logit_scale)) {}
    FOCALKIT_INLINE Vec<T> at(std::int64_t k) const { return of_class ? load(of_class + k) : Vec<T>{}; }
    FOCALKIT_INLINE void prefetch_at(std::int64_t k) const {
        if (of_class) prefetch_near(of_class + k);
    }
    FOCALKIT_INLINE T one(std::int64_t k) const { return of_class ? of_class[k] : T(0); }
};

/// Below this sum the true class leads by so much that exponentials anchored at it lose digits or vanish.
template <class T>
inline constexpr T least_sum = T(0x1p-60);

template <class T>
FOCALKIT_INLINE bool some_lead_by_far(const T* total, int lanes) {
    Vec<T> least = -load(total);
    for (int r = width<T>; r < lanes; r += width<T>) least = maximum(Vec<T>(-load(total + r)), least);
    return reduce_max(least) > -least_sum<T>;
}

/// A run of logits, the true class ``t`` of it masked, becomes exponentials anchored at the largest of the others.
/// For rows whose sum is below ``least_sum``, which are few: there FL* has a gradient still where that of every other
/// loss has vanished.
template <class T, class S>
FOCALKIT_NOINLINE void anchor_at_others(const S* z, int n, int t, Adjustment<T> adjustment, int first, T* e, T& anchor,
                                        T& sum) {
    using V = Vec<T>;
    const int padded = whole_vectors<T>(n);
    V top = constant<V>(-infinity<T>()), total{};
    copy_run(z, n, e);
    e[t] = -infinity<T>();
    for (int j = 0; j < padded; j += width<T>) top = maximum(load(e + j), top);
    anchor = reduce_max(top);
    const V at = constant<V>(anchor == -infinity<T>() ? T(0) : anchor);
    for (int j = 0; j < padded; j += width<T>) {
        const V x = exp_nonpositive<V>((load(e + j) - at) * adjustment.scale + adjustment.at(first + j));
        store(e + j, x);
        total = total + x;
    }
    sum = reduce_add(total);
}

/// What each true class's log-odds are shifted by, its adjustment less its margin, to where the losses will be.
template <class T>
FOCALKIT_INLINE void true_shifts(const Job& job, const Rows<T>& rows, int lanes) {
    T* shift = rows.loss;
    const std::int32_t* id = rows.id;
    for (int r = 0; r < lanes; ++r) shift[r] = 0;
    const auto add = [=](const PerClass& of, T factor) {
        const T* values = static_cast<const T*>(of.values);
        if (of.per_class)
            for (int r = 0; r < lanes; ++r) shift[r] += factor * values[id[r]];
        else if (of)
            for (int r = 0; r < lanes; ++r) shift[r] += factor * *values;
    };
    add(job.parameters.adjustment, T(1));
    add(job.parameters.margin, T(-1));
}

/// Losses, and from the sums of exponentials the derivatives and the pull of each row. In two loops: a processor looks
/// ahead for so many operations only, and in the longer chain of one it would find few that wait for nothing.
template <Form form, Power power, int order, bool shifted, class T>
FOCALKIT_NOINLINE Sum row_tails(const Job& job, const RowSums<T>& group, int lanes) {
    using V = Vec<T>;
    const Rows<T>& rows = group.rows;
    const V logit_scale = constant<V>(group.logit_scale), number = constant<V>(form_number<T>(job));
    LossSum total_loss;
    if constexpr (shifted) true_shifts(job, rows, lanes);
    for (int r = 0; r < lanes; r += width<T>) {
        const V logit = load(rows.true_logit + r), largest = load(group.largest + r), sum = load(group.total + r);
        if constexpr (shifted) store(rows.loss + r, log_odds(logit, largest, sum, logit_scale, load(rows.loss + r)));
        else store(rows.loss + r, log_odds(logit, largest, sum));
    }
    for (int r = 0; r < lanes; r += width<T>) {
        const Slopes<V> f = slopes_at<form, power, order>(load(rows.loss + r), load(rows.gamma + r), number);
        const V value = weighted(load(rows.weight + r), f.loss);
        store(rows.loss + r, value);
        total_loss.add(value);
        if constexpr (order > 0) {
            const V d = load(rows.scaled + r) * f.d1;
            store(rows.d1 + r, d);
            store(group.pull + r, pull_back(d, load(group.total + r)));
        }
        if constexpr (order > 1) store(rows.d2 + r, V(load(rows.scaled + r) * f.d2 * logit_scale));
    }
    return total_loss.sum();
}

template <int order, class T>
Sum row_tails_of_job(const Job& job, const RowSums<T>& group, int lanes) {
    const auto with_power = [&]<Form form, bool shifted>() {
        switch (job.power) {
            case 0: return row_tails<form, Power::zero, order, shifted>(job, group, lanes);
            case 1: return row_tails<form, Power::one, order, shifted>(job, group, lanes);
            case 2: return row_tails<form, Power::two, order, shifted>(job, group, lanes);
            default: return row_tails<form, Power::any, order, shifted>(job, group, lanes);
        }
    };
    switch (job.form) {
        case Form::poly: return with_power.template operator()<Form::poly, true>();
        case Form::star: return row_tails<Form::star, Power::any, order, true>(job, group, lanes);
        case Form::dft: return row_tails<Form::dft, Power::zero, order, true>(job, group, lanes);
        case Form::gce: return row_tails<Form::gce, Power::zero, order, true>(job, group, lanes);
        default: break;
    }
    const bool shifted = job.logit_scale != 1 || job.parameters.shift();
    return shifted ? with_power.template operator()<Form::focal, true>()
                   : with_power.template operator()<Form::focal, false>();
}

/// The Hessian of a row's other classes from their exponentials, r_j = e_j / total and 1 - r_j as ``all_but`` takes it:
/// only the largest can be more than half of the total, and ``rest`` is the sum of all but that one.
///
/// Exponentials come in runs, each to be multiplied by a factor (``unit``: by none).
template <class T, bool unit>
struct RowHessian {
    typedef Vec<T> V;
    V total, inverse, largest, rest, d1, d2;
    T below = 0, tops = 0;

    RowHessian(T sum, T one_over_sum, T top, T first, T second)
        : total(constant<V>(sum)),
          inverse(constant<V>(one_over_sum)),
          largest(constant<V>(top)),
          rest(total - largest),
          d1(constant<V>(first)),
          d2(constant<V>(second)) {}

    bool leads() const { return largest[0] + largest[0] > total[0]; }
    FOCALKIT_INLINE V times(V e, V factor) const { return unit ? e : V(e * factor); }

    /// Where one class leads: first passes over all runs, then ``exclude_largest``.
    FOCALKIT_INLINE void add(const T* e, int padded, T factor) {
        const V f = constant<V>(factor);
        V smaller{}, equal{};
        for (int j = 0; j < padded; j += width<T>) {
            const V x = times(load(e + j), f);
            const auto is_top = x == largest;
            smaller = smaller + where(is_top, V{}, x);
            equal = equal + where(is_top, x, V{});
        }
        below += reduce_add(smaller), tops += reduce_add(equal);
    }
    FOCALKIT_INLINE void exclude_largest() { rest = constant<V>(below + (tops - largest[0])); }

    FOCALKIT_INLINE V of(V e, V factor) const {
        const V x = times(e, factor);
        const V others = where(x == largest, rest, total - x);
        return softmax_hessian<V>(d1, d2, x * inverse, others * inverse);
    }
    /// One run into the result.
    template <class S>
    FOCALKIT_INLINE void write(const T* e, int n, T factor, S* to, bool streamed) const {
        constexpr int N = width<T>;
        const V f = constant<V>(factor);
        int j = 0;
        if constexpr (sizeof(S) == sizeof(T))
            if (streamed) {
                const int misplaced = static_cast<int>(reinterpret_cast<std::uintptr_t>(to) % sizeof(V) / sizeof(T));
                const int whole = misplaced ? N - misplaced : 0;
                j = whole < n ? whole : n;
                if (j) store_some(to, of(load_some(e, j, T(0)), f), j);
                for (; j + N <= n; j += N) stream(reinterpret_cast<T*>(to) + j, of(load(e + j), f));
            }
        for (; j + N <= n; j += N) store_as(to + j, of(load(e + j), f));
        if (j < n) store_some(to + j, of(load_some(e + j, n - j, T(0)), f), n - j);
    }
};

/// One over a sum, which is a number: anchored at the others it is 0 or not below the exponential of an adjustment.
template <class T>
FOCALKIT_INLINE Vec<T> inverse_of(Vec<T> total) {
    const Vec<T> one = constant<Vec<T>>(T(1));
    return one / where(total == Vec<T>{}, one, total);
}

/// Where row ``first + r`` begins.
FOCALKIT_INLINE std::int64_t row_place(const Job& job, const Array& array, std::int64_t row) {
    if (job.outer == 1) return row * array.inner;
    const std::int64_t o = row / job.inner;
    return o * array.outer + (row - o * job.inner) * array.inner;
}

}  // namespace focalkit::FOCALKIT_ISA
