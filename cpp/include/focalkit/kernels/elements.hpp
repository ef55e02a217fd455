// Sigmoid: every element by itself, in blocks that stay in the first cache.
#pragma once
#include "focalkit/kernels/margin.hpp"

namespace focalkit::FOCALKIT_ISA {

/// From logits ``z_at`` to ``grad_at``, which may be the same or lie in a large result. Where weights and exponents are
/// ``uniform`` they fill only the first vector of their arrays, and the losses go nowhere but to ``total``. Returns
/// whether a target was neither 0 nor 1: then all is wrong unless the kernel is that of ``soft`` targets. ``adjusted``
/// logits are scaled and adjusted on their way.
template <Form form, Power power, int order, bool soft, bool uniform, bool adjusted = false, class T>
bool sigmoid_block(const Job& job, int count, const T* z_at, const T* y_at, T* grad_at, Elements<T>& block,
                   LossSum& total, const T* adjustment = nullptr) {
    using V = Vec<T>;
    constexpr int N = width<T>;
    const V scale = constant<V>(static_cast<T>(job.scale));
    const T rest = static_cast<T>(1 - job.label_smoothing), even = static_cast<T>(job.label_smoothing / 2);
    const bool streamed = grad_at != block.z && job.stream;
    V gamma = load(block.gamma), positive = load(block.positive), negative = load(block.negative);
    V positive_scaled = rounded<V>(scaled(positive, scale)), negative_scaled = rounded<V>(scaled(negative, scale));
    const T number = form == Form::raised ? static_cast<T>(job.form_number) : form_number<T>(job);
    const Sides<T> sides(job, block.gamma[0]);
    const Clip<T> clip(job);
    const int whole_gamma = whole_of(block.gamma[0]);
    const T logit_scale = static_cast<T>(job.logit_scale);
    // The exponential first, and the power of gce last, in loops of their own: see "Rules" in cpp/README.md.
    constexpr bool relayed = !soft && form == Form::gce && order < 2;
    T *e_at = block.kept, *x_at = block.hess, *exponent_at = block.hess;
    if constexpr (!soft) {
        for (int i = 0; i < count; i += N) {
            V z = load(z_at + i);
            prefetch(z_at + i + Elements<T>::most);  // of the next block, if it is read where it lies
            if constexpr (adjusted) z = z * logit_scale + load(adjustment + i), store(block.z + i, z);
            if constexpr (form == Form::star) {
                if constexpr (!uniform) gamma = load(block.gamma + i);
                const V m = negated(z, load(y_at + i) != T(1)), x = inner_log_odds<form>(m, gamma, constant<V>(number));
                store(x_at + i, x), store(e_at + i, decay_at<form>(x, m, gamma, constant<V>(number)));
            } else {
                store(e_at + i, decay(z));
            }
        }
        if constexpr (adjusted) z_at = block.z;
    }
    if constexpr (relayed)
        for (int i = 0; i < count; i += N) {
            const V m = negated<V>(load(z_at + i), load(y_at + i) != T(1));
            const Probabilities<V> at = probabilities<V>(m, load(e_at + i));
            store(exponent_at + i, gce_exponent<V>(at, constant<V>(number))), store(e_at + i, at.q);
        }
    LossSum sum = total;
    V part{};
    Between<V> between;
    for (int i = 0; i < count; i += N) {
        const V z = load(z_at + i), y = load(y_at + i);
        if constexpr (soft) prefetch(z_at + i + Elements<T>::most);
        prefetch(y_at + i + Elements<T>::most);
        if constexpr (!uniform) {
            gamma = load(block.gamma + i);
            positive = load(block.positive + i), negative = load(block.negative + i);
            positive_scaled = rounded<V>(scaled(positive, scale));
            negative_scaled = rounded<V>(scaled(negative, scale));
        }
        V value, grad{}, hess{};
        if constexpr (soft) {
            const V share = rest * y + even, other_share = rest * (T(1) - y) + even;
            if constexpr (form == Form::quality || form == Form::varifocal) {
                const Slopes<V> f = soft_slopes<form, order>(z, V(share), V(other_share), block.gamma[0], whole_gamma);
                const V weight = y * positive + (T(1) - y) * negative;
                value = weighted(weight, f.loss);
                grad = scaled(weight, scale) * f.d1, hess = scaled(weight, scale) * f.d2;
            } else if constexpr (form != Form::focal) {
                Slopes<V> f, g;
                if constexpr (form == Form::asymmetric) {
                    const Probabilities<V> at = probabilities(z);
                    f = slopes<Form::focal, Power::any, order>(at, z, gamma, V{});
                    g = clip.number == 0 ? one_side<order>(opposite(at, z), sides.negative, sides.whole_negative)
                                         : clipped<order>(V(-z), sides.negative, sides.whole_negative, clip);
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
                if constexpr (relayed) {
                    const ExpAndLess<V> w = exp_and_less_one<V>(load(exponent_at + i));
                    f = gce<order, V>(w, load(e_at + i), constant<V>(number));
                } else if constexpr (form == Form::asymmetric) {
                    f = asymmetric<power == Power::whole, order, V>(m, load(e_at + i), is_negative, sides, clip);
                } else {
                    const V x = form == Form::star ? load(x_at + i) : m;
                    f = slopes_at<form, power, order, V>(m, x, gamma, constant<V>(number), load(e_at + i));
                }
                if constexpr (uniform) value = weight * f.loss;
                else value = weighted(weight, f.loss);
                grad = where(is_negative, negative_scaled, -positive_scaled) * -f.d1;
                hess = where(is_negative, negative_scaled, positive_scaled) * f.d2;
            } else {
                const Probabilities<V> at = probabilities<V>(negated(z, is_negative), load(e_at + i));
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
                          LossSum& total, const T* adjustment) {
    const auto of_order = [&]<Form form, Power power, bool adjusted>() {
        const auto block_of = [&]<int order>() {
            return sigmoid_block<form, power, order, soft, uniform, adjusted>(job, count, z, y, grad, block, total,
                                                                              adjustment);
        };
        if (job.order == 0) return block_of.template operator()<0>();
        if constexpr (!uniform || form == Form::focal)  // Hessians of other forms are never uniform
            if (job.order > 1) return block_of.template operator()<2>();
        return block_of.template operator()<1>();
    };
    const auto of_form = [&]<Form form, Power power>() {
        if constexpr (uniform && form == Form::focal)
            if (adjustment) return of_order.template operator()<form, power, true>();
        return of_order.template operator()<form, power, false>();
    };
    const auto with_power = [&]<Power power>() { return of_form.template operator()<Form::focal, power>(); };
    const auto poly = [&]<Form form>() {
        if constexpr (!soft) switch (job.power) {
                case 0: return of_form.template operator()<form, Power::zero>();
                case 1: return of_form.template operator()<form, Power::one>();
                case 2: return of_form.template operator()<form, Power::two>();
            }
        return of_form.template operator()<form, Power::any>();
    };
    const auto sides = [&] {
        if constexpr (!soft) {
            const Sides<T> of(job, block.gamma[0]);
            const bool margin = job.form_number >= Clip<T>::least;
            if constexpr (uniform)
                if (margin) {
                    const auto by_sides = [&]<int whole>() {
                        return job.order == 0 ? margin_block<0, whole>(job, count, z, y, grad, block, total)
                                              : margin_block<1, whole>(job, count, z, y, grad, block, total);
                    };
                    switch (of.whole_negative) {
                        case 1: return by_sides.template operator()<1>();
                        case 2: return by_sides.template operator()<2>();
                        case 4: return by_sides.template operator()<4>();
                        default: return by_sides.template operator()<-1>();
                    }
                }
            if (!margin && of.whole() && job.order < 2)
                return job.order == 0 ? sigmoid_block<Form::asymmetric, Power::whole, 0, soft, uniform>(
                                            job, count, z, y, grad, block, total)
                                      : sigmoid_block<Form::asymmetric, Power::whole, 1, soft, uniform>(
                                            job, count, z, y, grad, block, total);
        }
        return of_form.template operator()<Form::asymmetric, Power::any>();
    };
    switch (job.form) {
        case Form::raised:
        case Form::focal: break;
        case Form::poly:
            if constexpr (!soft)
                if (job.form_number >= 0) return poly.template operator()<Form::raised>();
            return poly.template operator()<Form::poly>();
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
    const bool runs = job.adjusts() && !varied && job.form == Form::focal && adjustments_run<T>(job);
    if (runs) run_adjustments(job, block);
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
            if (contiguous_logits && !some_skipped && padded == count)
                z = static_cast<const T*>(job.logits.data) + first;
            if (contiguous_grad && padded == count) grad = static_cast<T*>(job.grad.data) + first;
        }
        if (z == block.z) load_elements<T, S>(job, job.logits, first, count, block.z);
        const bool run = runs && !per_element;
        if (job.adjusts() && !run) adjust_elements(job, first, count, z, block.z), z = block.z;
        const T* adjustment =
            run ? block.adjustment + (job.parameters.adjustment.per_class ? first % job.classes : 0) : nullptr;
        const T* y = seen.y;
        if (some_skipped && y != block.y) {  // masked elements contribute nothing, not even a NaN
            for (int i = 0; i < count; ++i) block.y[i] = y[i];
            y = block.y;
        }
        if (per_element) {
            read_parameters(job, first, count, some_skipped, block);
            for (int i = count; i < padded; ++i)
                block.z[i] = block.y[i] = block.positive[i] = block.negative[i] = 0, block.gamma[i] = block.gamma[0];
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
        const bool between = kernel(job, padded, z, y, grad, block, losses, adjustment);
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
