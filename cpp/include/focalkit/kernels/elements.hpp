// Sigmoid: every element by itself, in blocks that stay in the first cache.
#pragma once
#include "focalkit/math/forms.hpp"
#include "focalkit/kernels/tiles.hpp"

namespace focalkit::FOCALKIT_ISA {

/// Whether the elements lie one behind the other in C order.
inline bool contiguous(const Job& job, const Array& array) {
    return (job.inner == 1 || array.inner == 1) && (job.classes == 1 || array.classes == job.inner) &&
           (job.outer == 1 || array.outer == job.classes * job.inner);
}

/// Calls ``visit(offset, place in the block, how many, step)`` for runs of elements in C order.
template <class Visit>
FOCALKIT_INLINE void each_element_run(const Job& job, const Array& array, std::int64_t first, int count, Visit visit) {
    const bool inner_joins = array.classes == array.inner * job.inner || job.classes == 1 || job.inner == 1;
    const std::int64_t step = job.inner == 1 ? array.classes : array.inner;
    const std::int64_t line = inner_joins ? job.classes * job.inner : job.inner;
    const bool all_join = inner_joins && (array.outer == step * line || job.outer == 1);
    if (all_join) {
        visit(first * step, 0, count, step);
        return;
    }
    std::int64_t row = first / line, i = first - row * line;
    for (int at = 0; at < count; ++row, i = 0) {
        const std::int64_t left = line - i;
        const int n = left < count - at ? static_cast<int>(left) : count - at;
        const std::int64_t o = inner_joins ? row : row / job.classes;
        const std::int64_t k = inner_joins ? 0 : row - o * job.classes;
        visit(o * array.outer + k * array.classes + i * step, at, n, step);
        at += n;
    }
}

template <class T>
struct Elements {
    static constexpr int most = 1024;
    static constexpr int place = most + 32;  // not a power of two apart, which caches would take for one place
    T z[place], y[place], kept[place], gamma[place], positive[place], negative[place], loss[place], hess[place];
};

/// What the targets of a block hold.
template <class T>
struct Seen {
    std::int64_t counted;
    bool fractional;  // values strictly between 0 and 1
    const T* y;
};

template <class T, class S>
FOCALKIT_INLINE void load_elements(const Job& job, const Array& array, std::int64_t first, int count, T* to) {
    const S* data = static_cast<const S*>(array.data);
    each_element_run(job, array, first, count, [&](std::int64_t offset, int at, int n, std::int64_t step) {
        const S* from = data + offset;
        int i = 0;
        if (step == 1)
            for (; i + width<T> <= n; i += width<T>) store(to + at + i, load_to<T>(from + i));
        for (; i < n; ++i) to[at + i] = widen<T>(from[i * step]);
    });
}

template <class T, class S>
FOCALKIT_INLINE void store_elements(const Job& job, const Array& array, std::int64_t first, int count, const T* from) {
    S* data = static_cast<S*>(array.data);
    each_element_run(job, array, first, count, [&](std::int64_t offset, int at, int n, std::int64_t step) {
        S* to = data + offset;
        int i = 0;
        if constexpr (sizeof(S) == sizeof(T))
            if (step == 1 && job.stream) {
                StreamingWriter<T, false> writes;
                writes.start(from + at, n, to);
                writes.finish();
                return;
            }
        if (step == 1)
            for (; i + width<T> <= n; i += width<T>) store_as(to + i, load_as(from + at + i));
        for (; i < n; ++i) narrow(from[at + i], to + i * step);
    });
}

/// Soft targets. Where all are 0 and 1, as they often are, the kernel itself validates them in the same pass.
template <class T>
Seen<T> read_soft_targets(const Job& job, std::int64_t first, int count, Elements<T>& block) {
    constexpr int N = width<T>;
    const T* ys = block.y;
    with_float_type(job.target_type, [&](auto* null) {
        using Y = pointee<decltype(null)>;
        if constexpr (sizeof(Y) == sizeof(T))
            if (contiguous(job, job.targets) && count % N == 0) ys = static_cast<const T*>(job.targets.data) + first;
        if (ys == block.y) load_elements<T, Y>(job, job.targets, first, count, block.y);
    });
    for (int i = count; i % N != 0; ++i) block.y[i] = 0;
    return {count, job.label_smoothing != 0, ys};
}

/// Remembers the bits of whatever is neither 0 nor 1.
template <class V>
struct Between {
    typedef typename Lane<V>::UInt U;
    U seen{};

    template <class M>
    FOCALKIT_INLINE void look(V y, M is_not_one) {
        const U more = seen | bits<U>(y);
        seen = where(is_not_one, more, seen);
    }
    bool any() const {
        bool found = false;
        for (int i = 0; i < static_cast<int>(sizeof(V) / sizeof(seen[0])); ++i) found |= seen[i] != 0;
        return found;
    }
};

template <class T>
bool any_between(const T* ys, int count) {
    Between<Vec<T>> between;
    for (int i = 0; i < count; i += width<T>) {
        const Vec<T> y = load(ys + i);
        between.look(y, y != T(1));
    }
    return between.any();
}

template <class T, class I>
Seen<T> read_hard_targets(const Job& job, std::int64_t first, int count, Elements<T>& block, Partial& sums) {
    const I* data = static_cast<const I*>(job.targets.data);
    std::uint64_t all = 0;
    each_element_run(job, job.targets, first, count, [&](std::int64_t offset, int at, int n, std::int64_t step) {
        const I* from = data + offset;
        T* y = block.y + at;
        if (step == 1)  // two loops, so that the compiler vectorises the usual one
            for (int i = 0; i < n; ++i) all |= static_cast<std::uint64_t>(static_cast<std::int64_t>(from[i]));
        else
            for (int i = 0; i < n; ++i) all |= static_cast<std::uint64_t>(static_cast<std::int64_t>(from[i * step]));
        if (step == 1)
            for (int i = 0; i < n; ++i) y[i] = static_cast<T>(static_cast<std::int32_t>(from[i]));
        else
            for (int i = 0; i < n; ++i) y[i] = static_cast<T>(static_cast<std::int32_t>(from[i * step]));
    });
    const std::int64_t ignore = job.ignore_index;
    const bool fractional = job.label_smoothing != 0;
    if (all <= 1 && ignore != 0 && ignore != 1) {  // as nearly always
        if (job.keep)
            for (int i = 0; i < count; ++i) block.kept[i] = 1;
        return {count, fractional, block.y};
    }
    std::int64_t counted = 0;
    each_element_run(job, job.targets, first, count, [&](std::int64_t offset, int at, int n, std::int64_t step) {
        for (int i = 0; i < n; ++i) {
            const std::int64_t id = data[offset + i * step];
            const bool ignored = id == ignore, inside = static_cast<std::uint64_t>(id) <= 1u;
            counted += inside & !ignored;
            sums.bad_targets += !inside & !ignored;
            block.kept[at + i] = inside & !ignored;
        }
    });
    return {counted, fractional, block.y};
}

/// Targets of a block, into ``block.y`` unless they can stay where they are; what is ignored or invalid gets kept = 0.
template <class T>
Seen<T> read_elements(const Job& job, std::int64_t first, int count, Elements<T>& block, Partial& sums) {
    if (job.soft) return read_soft_targets(job, first, count, block);
    Seen<T> seen{};
    with_integer_type(job.target_type, [&](auto* null) {
        seen = read_hard_targets<T, pointee<decltype(null)>>(job, first, count, block, sums);
    });
    return seen;
}

/// Calls ``visit(place in the block, how many, class, step)`` for runs of elements whose class grows by ``step``.
template <class Visit>
FOCALKIT_INLINE void each_class_run(const Job& job, std::int64_t first, int count, Visit visit) {
    const std::int64_t step = job.inner == 1, line = step ? job.classes : job.inner, row = first / line;
    std::int64_t i = first - row * line, k = step ? i : row % job.classes;
    for (int at = 0; at < count; i = 0) {
        const std::int64_t left = line - i;
        const int n = left < count - at ? static_cast<int>(left) : count - at;
        visit(at, n, k, step);
        at += n;
        k = step || k + 1 == job.classes ? 0 : k + 1;
    }
}

/// Scales and adjusts a block of logits.
template <class T>
void adjust_elements(const Job& job, std::int64_t first, int count, T* z) {
    const T scale = static_cast<T>(job.logit_scale);
    const PerClass& of = job.parameters.adjustment;
    if (of.per_class) {
        const T* entries = static_cast<const T*>(of.values);
        each_class_run(job, first, count, [=](int at, int n, std::int64_t k, std::int64_t step) {
            const T* from = entries + k;
            if (step)
                for (int i = 0; i < n; ++i) z[at + i] = z[at + i] * scale + from[i];
            else
                for (int i = 0; i < n; ++i) z[at + i] = z[at + i] * scale + *from;
        });
    } else {
        const T adjustment = parameter(of, 0, T(0));
        for (int i = 0; i < count; ++i) z[i] = z[i] * scale + adjustment;
    }
}

/// Fills per-element weights of positives and negatives, and exponents, where they are not constants.
template <class T>
void read_parameters(const Job& job, std::int64_t first, int count, bool some_skipped, Elements<T>& block) {
    const auto fill = [&](const PerClass& of, T otherwise, T* to) {
        if (of.per_class) {
            const T* entries = static_cast<const T*>(of.values);
            each_class_run(job, first, count, [=](int at, int n, std::int64_t k, std::int64_t step) {
                const T* from = entries + k;
                if (step)
                    for (int i = 0; i < n; ++i) to[at + i] = from[i];
                else
                    for (int i = 0; i < n; ++i) to[at + i] = *from;
            });
        } else {
            const T value = parameter(of, 0, otherwise);
            for (int i = 0; i < count; ++i) to[i] = value;
        }
    };
    fill(job.parameters.gamma, T(0), block.gamma);
    fill(job.parameters.alpha, T(1), block.positive);
    fill(job.parameters.alpha_other, T(1), block.negative);
    if (job.unit != 1)
        for (int e = 0; e < count; ++e) {
            block.positive[e] *= static_cast<T>(job.unit);
            block.negative[e] *= static_cast<T>(job.unit);
        }
    if (job.sample_weight) {
        Array weights;
        weights.outer = job.weight_outer, weights.classes = job.weight_classes, weights.inner = job.weight_inner;
        each_element_run(job, weights, first, count, [&](std::int64_t offset, int at, int n, std::int64_t step) {
            for (int e = 0; e < n; ++e) {
                const T w = static_cast<T>(job.sample_weight[offset + e * step] * job.weight_unit);
                block.positive[at + e] *= w;
                block.negative[at + e] *= w;
            }
        });
    }
    if (some_skipped)
        for (int e = 0; e < count; ++e)
            if (block.kept[e] == 0) block.z[e] = block.y[e] = block.positive[e] = block.negative[e] = 0;
}

/// The gammas of positives and negatives, where a form has one for each. For 0/1 targets the varifocal loss is such a
/// form: cross-entropy on positives.
template <class T>
struct Sides {
    T positive, negative;
    int whole_positive, whole_negative;

    Sides(const Job& job, const Elements<T>& block)
        : positive(job.form == Form::varifocal ? T(0) : block.gamma[0]),
          negative(job.form == Form::varifocal ? block.gamma[0] : static_cast<T>(job.form_gamma)),
          whole_positive(whole_of(positive)),
          whole_negative(whole_of(negative)) {}
    bool whole() const { return whole_positive >= 0 && whole_negative >= 0; }
};

/// From logits ``z_at`` to ``grad_at``, which may be the same or lie in a large result. Where weights and exponents are
/// ``uniform`` they fill only the first vector of their arrays, and the losses go nowhere but to ``total``. Returns
/// whether a target was neither 0 nor 1: then all is wrong unless the kernel is that of ``soft`` targets.
template <Form form, Power power, int order, bool soft, bool uniform, class T>
bool sigmoid_block(const Job& job, int count, const T* z_at, const T* y_at, T* grad_at, Elements<T>& block,
                   LossSum& total) {
    using V = Vec<T>;
    constexpr int N = width<T>;
    const V scale = constant<V>(static_cast<T>(job.scale));
    const T s = static_cast<T>(job.label_smoothing);
    const bool streamed = grad_at != block.z && job.stream;
    V gamma = load(block.gamma), positive = load(block.positive), negative = load(block.negative);
    V positive_scaled = rounded<V>(scaled(positive, scale)), negative_scaled = rounded<V>(scaled(negative, scale));
    const T number = static_cast<T>(job.form_number);
    const Sides<T> sides(job, block);
    const Clip<T> clip(job);
    const int whole_gamma = whole_of(block.gamma[0]);
    LossSum sum = total;
    V part{};
    Between<V> between;
    for (int i = 0; i < count; i += N) {
        const V z = load(z_at + i), y = load(y_at + i);
        prefetch(z_at + i + Elements<T>::most);  // of the next block, if it is read where it lies
        prefetch(y_at + i + Elements<T>::most);
        if constexpr (!uniform) {
            gamma = load(block.gamma + i);
            positive = load(block.positive + i), negative = load(block.negative + i);
            positive_scaled = rounded<V>(scaled(positive, scale));
            negative_scaled = rounded<V>(scaled(negative, scale));
        }
        V value, grad{}, hess{};
        if constexpr (soft) {
            const V share = (T(1) - s) * y + T(0.5) * s, other_share = (T(1) - s) * (T(1) - y) + T(0.5) * s;
            if constexpr (form == Form::quality || form == Form::varifocal) {
                const Slopes<V> f = soft_slopes<form, order>(z, V(share), V(other_share), block.gamma[0], whole_gamma);
                const V weight = y * positive + (T(1) - y) * negative;
                value = weighted(weight, f.loss);
                grad = scaled(weight, scale) * f.d1, hess = scaled(weight, scale) * f.d2;
            } else if constexpr (form != Form::focal) {
                Slopes<V> f, g;
                if constexpr (form == Form::asymmetric) {
                    const Probabilities<V> at = probabilities(z);
                    f = slopes<Form::focal, Power::any, order>(at, gamma, V{});
                    g = one_side<order>(opposite(at, z), sides.negative, sides.whole_negative, number);
                } else {
                    f = slopes_at<form, power, order>(z, gamma, constant<V>(number));
                    g = slopes_at<form, power, order>(-z, gamma, constant<V>(number));
                }
                value = weighted<V>(share * positive, f.loss) + weighted<V>(other_share * negative, g.loss);
                grad = share * positive_scaled * f.d1 - other_share * negative_scaled * g.d1;
                hess = share * positive_scaled * f.d2 + other_share * negative_scaled * g.d2;
            } else {
                const Probabilities<V> at = probabilities(z), mirror = opposite(at, z);
                const V w = modulation<power>(at, gamma), v = modulation<power>(mirror, gamma);
                value =
                    weighted<V>(share * positive, loss(at, w)) + weighted<V>(other_share * negative, loss(mirror, v));
                const V weight_positive = share * positive_scaled, weight_negative = other_share * negative_scaled;
                if constexpr (order > 0)
                    grad = weight_positive * d1<power>(at, w, gamma) - weight_negative * d1<power>(mirror, v, gamma);
                if constexpr (order > 1)
                    hess = weight_positive * d2(at, w, gamma) + weight_negative * d2(mirror, v, gamma);
            }
        } else {
            const auto is_negative = y != T(1);
            between.look(y, is_negative);
            const V weight = where(is_negative, negative, positive);
            if constexpr (form != Form::focal) {
                const V m = negated(z, is_negative);
                Slopes<V> f;
                if constexpr (form == Form::asymmetric && power == Power::whole) {
                    f = asymmetric<order>(m, is_negative, sides.whole_positive, sides.whole_negative, clip);
                } else if constexpr (form == Form::asymmetric) {
                    const Probabilities<V> at = probabilities(m);
                    f = one_side<order>(at, sides.positive, sides.whole_positive, T(0));
                    const Slopes<V> g = one_side<order>(at, sides.negative, sides.whole_negative, number);
                    f.loss = where(is_negative, g.loss, f.loss);
                    f.d1 = where(is_negative, g.d1, f.d1), f.d2 = where(is_negative, g.d2, f.d2);
                } else {
                    f = slopes_at<form, power, order>(m, gamma, constant<V>(number));
                }
                if constexpr (uniform) value = weight * f.loss;
                else value = weighted(weight, f.loss);
                grad = where(is_negative, negative_scaled, -positive_scaled) * -f.d1;
                hess = where(is_negative, negative_scaled, positive_scaled) * f.d2;
            } else {
                const Probabilities<V> at = probabilities<V>(negated(z, is_negative));
                const V w = modulation<power>(at, gamma);
                if constexpr (uniform) value = weight * loss(at, w);  // no weight is 0
                else value = weighted(weight, loss(at, w));
                if constexpr (order > 0)  // d m / d z is 1 or -1
                    grad = where(is_negative, negative_scaled, -positive_scaled) * -d1<power>(at, w, gamma);
                if constexpr (order > 1) hess = where(is_negative, negative_scaled, positive_scaled) * d2(at, w, gamma);
            }
        }
        part = part + value;
        if (sizeof(T) == 8 || i / N % 4 == 3) sum.add(part), part = V{};  // few floats lose nothing that shows
        if constexpr (!uniform) store(block.loss + i, value);
        if constexpr (order > 0) {
            if (streamed) stream(grad_at + i, grad);
            else store(grad_at + i, grad);
        }
        if constexpr (order > 1) store(block.hess + i, hess);
    }
    sum.add(part);
    total = sum;
    return between.any();
}

template <bool soft, bool uniform, class T>
bool sigmoid_block_of_job(const Job& job, int count, const T* z, const T* y, T* grad, Elements<T>& block,
                          LossSum& total) {
    const auto of_form = [&]<Form form, Power power>() {
        if (job.order == 0) return sigmoid_block<form, power, 0, soft, uniform>(job, count, z, y, grad, block, total);
        if constexpr (!uniform || form == Form::focal)  // Hessians of other forms are never uniform
            if (job.order > 1)
                return sigmoid_block<form, power, 2, soft, uniform>(job, count, z, y, grad, block, total);
        return sigmoid_block<form, power, 1, soft, uniform>(job, count, z, y, grad, block, total);
    };
    const auto with_power = [&]<Power power>() { return of_form.template operator()<Form::focal, power>(); };
    const auto poly = [&] {
        if constexpr (!soft) switch (job.power) {
                case 0: return of_form.template operator()<Form::poly, Power::zero>();
                case 1: return of_form.template operator()<Form::poly, Power::one>();
                case 2: return of_form.template operator()<Form::poly, Power::two>();
            }
        return of_form.template operator()<Form::poly, Power::any>();
    };
    const auto sides = [&] {
        if constexpr (!soft)
            if (job.order < 2 && Sides<T>(job, block).whole() && (job.form_number == 0 || job.form_number > 1e-30))
                return job.order == 0 ? sigmoid_block<Form::asymmetric, Power::whole, 0, soft, uniform>(
                                            job, count, z, y, grad, block, total)
                                      : sigmoid_block<Form::asymmetric, Power::whole, 1, soft, uniform>(
                                            job, count, z, y, grad, block, total);
        return of_form.template operator()<Form::asymmetric, Power::any>();
    };
    switch (job.form) {
        case Form::focal: break;
        case Form::poly: return poly();
        case Form::star: return of_form.template operator()<Form::star, Power::any>();
        case Form::dft: return of_form.template operator()<Form::dft, Power::zero>();
        case Form::gce: return of_form.template operator()<Form::gce, Power::zero>();
        case Form::asymmetric: return sides();
        case Form::quality:  // of 0 and 1 it is the focal loss
            if constexpr (soft) return of_form.template operator()<Form::quality, Power::any>();
            break;
        case Form::varifocal:
            if constexpr (soft) return of_form.template operator()<Form::varifocal, Power::any>();
            else return sides();
    }
    switch (job.power) {
        case 0: return with_power.template operator()<Power::zero>();
        case 1: return with_power.template operator()<Power::one>();
        case 2: return with_power.template operator()<Power::two>();
        default: break;
    }
    if constexpr (uniform) {
        const T gamma = block.gamma[0];  // from 5 on products round more often than an exponential does
        if (gamma <= 5 && 2 * gamma == static_cast<T>(static_cast<int>(2 * gamma)))
            return with_power.template operator()<Power::halves>();
        return with_power.template operator()<Power::positive>();
    } else {
        return with_power.template operator()<Power::any>();
    }
}

/// In sums side by side, so short that rounding leaves nothing that shows.
template <class T>
void add_weights(const Elements<T>& block, const T* ys, int count, std::int64_t step, Sum& total) {
    constexpr int lanes = 8, most = 8 * lanes;
    const auto weight = [&](int i) {
        const std::int64_t place = step ? i : 0;
        const double y = static_cast<double>(ys[i]);
        return y * static_cast<double>(block.positive[place]) + (1 - y) * static_cast<double>(block.negative[place]);
    };
    for (int first = 0; first < count; first += most) {
        const int end = first + most < count ? first + most : count;
        double sums[lanes] = {};
        int i = first;
        for (; i + lanes <= end; i += lanes)
            for (int lane = 0; lane < lanes; ++lane) sums[lane] += weight(i + lane);
        for (; i < end; ++i) sums[i % lanes] += weight(i);
        for (const double sum : sums) total.add(sum);
    }
}

template <class S>
void sigmoid_chunk(const Job& job, std::int64_t chunk, void* scratch, Partial& sums) {
    using T = typename Compute<S>::type;
    constexpr int N = width<T>;
    Elements<T>& block = *static_cast<Elements<T>*>(scratch);
    const std::int64_t elements = job.rows() * job.classes, begin = chunk * job.rows_per_chunk;
    const std::int64_t end = begin + job.rows_per_chunk < elements ? begin + job.rows_per_chunk : elements;
    const bool contiguous_logits = contiguous(job, job.logits);
    const bool aligned = reinterpret_cast<std::uintptr_t>(job.grad.data) % sizeof(Vec<T>) == 0;
    const bool contiguous_grad = job.order > 0 && contiguous(job, job.grad) && (aligned || !job.stream);
    // a weight of 0 silences infinite losses; Hessians of the forms have no kernel of their own here
    const bool silences =
        parameter(job.parameters.alpha, 0, T(1)) == 0 || parameter(job.parameters.alpha_other, 0, T(1)) == 0;
    const bool varied = job.sample_weight || job.parameters.vary() || job.losses || job.unit != 1 || silences ||
                        (job.form != Form::focal && job.order > 1);
    LossSum losses;
    bool look = job.order > 0 && job.grad.data == job.logits.data;  // at soft targets before anything is written over
    for (std::int64_t first = begin; first < end; first += Elements<T>::most) {
        const int count = end - first < Elements<T>::most ? static_cast<int>(end - first) : Elements<T>::most;
        const int padded = (count + N - 1) / N * N;
        Seen<T> seen = read_elements(job, first, count, block, sums);
        if (job.soft && look) seen.fractional |= any_between(seen.y, padded);
        std::int64_t counted = seen.counted;
        bool some_skipped = counted != count;
        if (job.keep) {
            counted = 0;
            for (int i = 0; i < count; ++i) {
                const bool stays = (job.soft || block.kept[i] != 0) && job.keep[first + i];
                block.kept[i] = stays;
                counted += stays;
            }
            some_skipped = counted != count;
        }
        const bool per_element = varied || some_skipped || seen.fractional || padded != count;
        const T* z = block.z;
        T* grad = block.z;
        if constexpr (sizeof(S) == sizeof(T)) {  // no copies between where that can be
            if (contiguous_logits && !some_skipped && padded == count && !job.adjusts())
                z = static_cast<const T*>(job.logits.data) + first;
            if (contiguous_grad && padded == count) grad = static_cast<T*>(job.grad.data) + first;
        }
        if (z == block.z) load_elements<T, S>(job, job.logits, first, count, block.z);
        if (job.adjusts()) adjust_elements(job, first, count, block.z);
        const T* y = seen.y;
        if (some_skipped && y != block.y) {  // masked elements contribute nothing, not even a NaN
            for (int i = 0; i < count; ++i) block.y[i] = y[i];
            y = block.y;
        }
        if (per_element) {
            read_parameters(job, first, count, some_skipped, block);
            for (int i = count; i < padded; ++i)
                block.z[i] = block.y[i] = block.positive[i] = block.negative[i] = block.gamma[i] = 0;
        } else {
            for (int i = 0; i < N; ++i) {
                block.gamma[i] = parameter(job.parameters.gamma, 0, T(0));
                block.positive[i] = parameter(job.parameters.alpha, 0, T(1));
                block.negative[i] = parameter(job.parameters.alpha_other, 0, T(1));
            }
        }
        const LossSum before = losses;
        const auto kernel = seen.fractional ? sigmoid_block_of_job<true, false, T>
                            : per_element   ? sigmoid_block_of_job<false, false, T>
                                            : sigmoid_block_of_job<false, true, T>;
        const bool between = kernel(job, padded, z, y, grad, block, losses);
        if (job.soft && between && !seen.fractional) {  // the same block again, and the others, by the longer way
            losses = before, look = true, first -= Elements<T>::most;
            continue;
        }
        if (job.soft && seen.fractional)
            for (int i = 0; i < count; ++i) sums.bad_targets += !((y[i] >= 0) & (y[i] <= 1));
        sums.counted += counted;
        if (job.weigh) add_weights(block, y, count, per_element, sums.weight);
        if (job.losses) store_losses<T, S>(job, first, count, block.loss);
        if (job.order > 0 && grad == block.z) store_elements<T, S>(job, job.grad, first, count, block.z);
        if (job.order > 1) {
            if (job.logit_scale != 1)
                for (int i = 0; i < count; ++i) block.hess[i] *= static_cast<T>(job.logit_scale);
            store_elements<T, S>(job, job.hess, first, count, block.hess);
        }
    }
    sums.loss.add(losses.sum());
    if (job.stream) stream_fence();
}

}  // namespace focalkit::FOCALKIT_ISA
