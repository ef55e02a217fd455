// Softmax over tiles with soft targets: class probabilities, or class ids with label smoothing.
#pragma once
#include "focalkit/math/forms.hpp"
#include "focalkit/math/links.hpp"
#include "focalkit/kernels/tiles.hpp"

namespace focalkit::FOCALKIT_ISA {

constexpr int most_columns = 224;

/// A vector of rows, scaled and adjusted in place by what each logit is below the largest.
template <class T>
FOCALKIT_NOINLINE void adjust_columns(const Job& job, T* z, int columns) {
    using V = Vec<T>;
    const T scale = static_cast<T>(job.logit_scale);
    V largest = load(z);
    for (std::int64_t k = 1; k < job.classes; ++k) largest = maximum(load(z + k * columns), largest);
    const V anchor = where(largest == -infinity<V>(), V{}, largest);
    for (std::int64_t k = 0; k < job.classes; ++k)
        store(z + k * columns,
              V((load(z + k * columns) - anchor) * scale + parameter(job.parameters.adjustment, k, T(0))));
}

/// Soft targets (dense: one per class). ``weight`` holds y_k alpha_k and becomes scratch; see
/// softmax_log_odds_all, softmax_gradient_soft and softmax_hessian_soft in src/focalkit/_core/links.py.
///
/// Only the leading class b can have p_b > 1/2. Its odds, and r of the others given b, are summed without it, from
/// exponentials anchored at the largest of the others, however far it leads; for every other class 1 - p_k >= 1/2 and
/// subtracting its share from the sum is safe.
template <Form form, int order, class T>
Sum soft_columns(const Job& job, T* z, T* e_tile, T* weight, T* h, int columns, const Rows<T>& rows) {
    using V = Vec<T>;
    constexpr int N = width<T>;
    const std::int64_t classes = job.classes;
    const V one = constant<V>(T(1)), zero{}, number = constant<V>(form_number<T>(job));
    LossSum total_loss;
    for (int c = 0; c < columns; c += N) {
        const V row_weight = load(rows.weight + c), scale = constant<V>(static_cast<T>(job.scale));
        if (job.adjusts()) adjust_columns(job, z + c, columns);
        // the first of the largest leads; ``anchor`` is the largest of the others
        V largest = load(z + c), anchor = constant<V>(-infinity<T>()), lead{};
        for (std::int64_t k = 1; k < classes; ++k) {
            const V logit = load(z + k * columns + c);
            const auto above = largest < logit;
            anchor = where(above, largest, maximum(logit, anchor));
            lead = where(above, constant<V>(static_cast<T>(k)), lead);
            largest = where(above, logit, largest);
        }
        anchor = where(anchor == -infinity<V>(), largest, anchor);
        V rest{};
        for (std::int64_t k = 0; k < classes; ++k) {
            const auto leads = lead == constant<V>(static_cast<T>(k));
            const V e = where(leads, zero, exp_nonpositive<V>(load(z + k * columns + c) - anchor));
            store(e_tile + k * columns + c, e);
            rest = rest + e;
        }
        const V second = where(rest == zero, zero, one);  // the largest of them
        ExclusiveSum<V> without_lead;
        if constexpr (order > 1)
            for (std::int64_t k = 0; k < classes; ++k) without_lead.add(load(e_tile + k * columns + c), second);
        const V shrink = exp_nonpositive<V>(anchor - largest);
        const V total = one + rounded<V>(rest * shrink) + (largest - largest);  // NaN where that is not finite
        const V safe_rest = where(rest == zero, one, rest);
        V value{}, d1_lead{}, d2_lead{}, first_sum{}, second_sum{}, to_lead{};
        const V p_lead = one / total, q_lead = rest * shrink / total;
        for (std::int64_t k = 0; k < classes; ++k) {
            const std::int64_t place = k * columns + c;
            const V e = load(e_tile + place);
            const auto leads = lead == constant<V>(static_cast<T>(k));
            const V others = one + rounded<V>(where(rest > e, rest - e, zero) * shrink);
            V m = log_odds(load(z + place), where(leads, anchor, largest), where(leads, rest, others));
            if (job.parameters.margin) m = m - parameter(job.parameters.margin, k, T(0));
            const V gamma = constant<V>(parameter(job.parameters.gamma, k, T(0)));
            const V share = load(weight + place) * row_weight;
            const Slopes<V> f = slopes_at<form, Power::any, order>(m, gamma, number);
            value = value + weighted(share, f.loss);
            if constexpr (order > 0) {
                const V share_scaled = scaled(share, scale);
                const V d = share_scaled * f.d1;
                const V safe_q = others / total;
                store(weight + place, d);
                d1_lead = where(leads, d, d1_lead);
                first_sum = first_sum + where(leads, zero, -d / safe_q);
                if constexpr (order > 1) {
                    const V dd = share_scaled * f.d2;
                    store(h + place, dd);
                    d2_lead = where(leads, dd, d2_lead);
                    second_sum = second_sum + where(leads, zero, (d + dd) / (safe_q * safe_q));
                    // r_kb tends to 1 as the leading class takes all; there 1 - r_kb = q_b (1 - r_k) / q_k
                    const V r_rest = all_but(e, second, without_lead.rest(second)) / safe_rest;
                    const V share_of_lead = (dd * p_lead - d * q_lead * r_rest) * p_lead / (safe_q * safe_q);
                    to_lead = to_lead + where(leads, zero, share_of_lead);
                }
            }
        }
        store(rows.loss + c, value);
        total_loss.add(value);
        if constexpr (order > 0)
            for (std::int64_t k = 0; k < classes; ++k) {
                const std::int64_t place = k * columns + c;
                const V e = load(e_tile + place), d = load(weight + place);
                const auto leads = lead == constant<V>(static_cast<T>(k));
                const V q = where(leads, one, (one + rounded<V>(where(rest > e, rest - e, zero) * shrink)) / total);
                const V p = where(leads, p_lead, e * shrink / total);
                const V class_pull = where(leads, zero, -d / q);
                const V pull = where(first_sum > class_pull, first_sum - class_pull,
                                     where(first_sum == first_sum, zero, first_sum));
                const V r = e / safe_rest;
                store(z + place, d + rounded<V>(p * pull) - rounded<V>(d1_lead * r));
                if constexpr (order > 1) {
                    const V dd = load(h + place);
                    const V class_second = where(leads, zero, (d + dd) / (q * q));
                    const V r_rest = all_but(e, second, without_lead.rest(second)) / safe_rest;
                    const V from_lead = softmax_hessian(d1_lead, d2_lead, r, r_rest);
                    const V of_others = p * pull + p * p * (second_sum - class_second) + from_lead;
                    store(h + place, (dd + where(leads, to_lead, of_others)) * static_cast<T>(job.logit_scale));
                }
            }
    }
    return total_loss.sum();
}

/// Looks at probabilities in a tile: adds up sum_k y_k alpha_k, and counts the rows that are none.
template <class T>
void weigh_targets(const Job& job, int count, const T* y, int columns, const Rows<T>& rows, Partial& sums) {
    double total[most_columns] = {}, share[most_columns] = {};
    std::int32_t outside[most_columns] = {};
    for (std::int64_t k = 0; k < job.classes; ++k) {
        const double alpha = static_cast<double>(parameter(job.parameters.alpha, k, T(1)));
        const T* of_class = y + k * columns;
        for (int r = 0; r < columns; ++r) {
            const double value = static_cast<double>(of_class[r]);
            total[r] += value;
            share[r] += value * alpha;
        }
        for (int r = 0; r < columns; ++r) outside[r] |= !((of_class[r] >= 0) & (of_class[r] <= 1));
    }
    const double slack = job.target_type == Type::f32 || job.target_type == Type::f64 ? 1e-4 : 1e-2;
    for (int r = 0; r < count; ++r) {
        if (job.weigh) sums.weight.add(share[r] * static_cast<double>(rows.weight[r]));
        const double off = total[r] - 1;
        sums.bad_targets += (outside[r] != 0) | !((off <= slack) & (off >= -slack));
    }
}

/// y_k alpha_k for each class and row: from probabilities or, smoothed, from class ids.
template <class T>
void load_dense_targets(const Job& job, std::int64_t first, int count, T* weight, int columns, const Rows<T>& rows,
                        Partial& sums) {
    const T rest = static_cast<T>(1 - job.label_smoothing);
    const T even = static_cast<T>(job.label_smoothing / static_cast<double>(job.classes));
    if (job.soft) {
        with_float_type(job.target_type, [&](auto* null) {
            load_tile<T, pointee<decltype(null)>>(job, job.targets, first, count, weight, columns);
        });
        weigh_targets(job, count, weight, columns, rows, sums);
    } else {
        for (std::int64_t k = 0; k < job.classes; ++k)
            for (int r = 0; r < columns; ++r) weight[k * columns + r] = rows.id[r] == k;
    }
    for (std::int64_t k = 0; k < job.classes; ++k) {
        const T alpha = parameter(job.parameters.alpha, k, T(1));
        for (int r = 0; r < columns; ++r) {
            T& y = weight[k * columns + r];
            y = (rest * y + even) * alpha;
        }
    }
}

template <class T>
Sum soft_columns_of_job(const Job& job, T* z, T* tiles, int columns, const Rows<T>& rows) {
    const std::int64_t size = job.classes * columns;
    T *e = tiles, *weight = tiles + size, *h = tiles + 2 * size;
    const auto of_form = [&]<Form form>() {
        if (job.order == 0) return soft_columns<form, 0>(job, z, e, weight, h, columns, rows);
        if (job.order == 1) return soft_columns<form, 1>(job, z, e, weight, h, columns, rows);
        return soft_columns<form, 2>(job, z, e, weight, h, columns, rows);
    };
    switch (job.form) {
        case Form::poly: return of_form.template operator()<Form::poly>();
        case Form::star: return of_form.template operator()<Form::star>();
        case Form::dft: return of_form.template operator()<Form::dft>();
        case Form::gce: return of_form.template operator()<Form::gce>();
        default: return of_form.template operator()<Form::focal>();
    }
}

}  // namespace focalkit::FOCALKIT_ISA
