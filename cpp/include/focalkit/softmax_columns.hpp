// Softmax over tiles: one lane a row, so a handful of classes fills the registers as well as many.
#pragma once
#include "links.hpp"
#include "tiles.hpp"

namespace focalkit::FOCALKIT_ISA {

constexpr int most_columns = 224;

/// Where a tile's rows lie side by side in the arrays themselves, they are read and written there.
template <class T>
struct Direct {
    const T* from = nullptr;  // null: the logits are in the tile
    std::int64_t from_stride = 0;
    T* to = nullptr;  // null: the gradient stays in the tile
    std::int64_t to_stride = 0;
    bool stream = false;
    bool more = false;    // the rows behind are read next
    bool across = false;  // the result has contiguous classes: the tile is left unscaled, the pulls in rows.d2
};

/// The true class apart: its logit to rows.own, and -inf in its place, so that it takes no part in sums.
template <class T>
FOCALKIT_INLINE void set_apart(T* z, int first, int last, int columns, const Rows<T>& rows) {
    for (int r = first; r < last; ++r) {
        T& logit = z[static_cast<std::int64_t>(rows.id[r]) * columns + r];
        rows.own[r] = logit;
        logit = -infinity<T>();
    }
}

/// Hard targets. ``z`` holds the logits unless they are read directly, then e, then the gradient unless that
/// is written directly; the Hessian goes to ``h``. Returns the sum of the losses.
///
/// The anchor of the exponentials is the largest logit, the true class's own among them: only what is
/// smaller than any result can be is lost by that.
template <Power power, int order, class T>
Sum hard_columns(T* z, T* h, std::int64_t classes, int columns, const Rows<T>& rows, const Direct<T>& direct) {
    using V = Vec<T>;
    constexpr int N = width<T>, U = 2;
    LossSum total_loss;
    for (int c = 0; c < columns; c += N * U) {
        V largest[U], total[U], pull[U], d1s[U], d2s[U];
        for (int u = 0; u < U; ++u) largest[u] = total[u] = constant<V>(-infinity<T>());
        if (direct.from) {
            for (std::int64_t k = 0; k < classes; ++k)
                for (int u = 0; u < U; ++u) {
                    const V logit = load(direct.from + k * direct.from_stride + c + u * N);
                    store(z + k * columns + c + u * N, logit);
                    largest[u] = maximum(logit, largest[u]);
                }
            set_apart(z, c, c + N * U, columns, rows);
        } else {
            for (std::int64_t k = 0; k < classes; ++k)
                for (int u = 0; u < U; ++u) largest[u] = maximum(load(z + k * columns + c + u * N), largest[u]);
        }
        for (int u = 0; u < U; ++u) total[u] = V{};
        for (std::int64_t block = 0; block < classes; block += 64) {  // two levels keep long sums exact
            const std::int64_t end = block + 64 < classes ? block + 64 : classes;
            V sum[U] = {}, anchor[U];
            for (int u = 0; u < U; ++u) anchor[u] = where(largest[u] == -infinity<V>(), V{}, largest[u]);
            const auto exp_pass = [&]<bool more>() {
                for (std::int64_t k = block; k < end; ++k)
                    for (int u = 0; u < U; ++u) {
                        T* at = z + k * columns + c + u * N;
                        const V e = exp_nonpositive<V>(load(at) - anchor[u]);
                        if constexpr (order > 0) store(at, e);
                        if constexpr (more) prefetch(direct.from + k * direct.from_stride + c + u * N + columns);
                        sum[u] = sum[u] + e;
                    }
            };
            if (direct.more) exp_pass.template operator()<true>();
            else exp_pass.template operator()<false>();
            for (int u = 0; u < U; ++u) total[u] = total[u] + sum[u];
        }
        for (int u = 0; u < U; ++u) {
            const int at_row = c + u * N;
            const V gamma = load(rows.gamma + at_row), scaled = load(rows.scaled + at_row);
            const V m = log_odds(load(rows.own + at_row), largest[u], total[u]);
            const Probabilities<V> at = probabilities(m);
            const V w = modulation<power>(at, gamma);
            const V value = weighted(load(rows.weight + at_row), loss(at, w));
            store(rows.loss + at_row, value);
            total_loss.add(value);
            if constexpr (order > 0) {
                d1s[u] = scaled * d1<power>(at, w, gamma);
                store(rows.d1 + at_row, d1s[u]);
                pull[u] = pull_of(d1s[u], total[u]);
            }
            if constexpr (order > 1) {
                d2s[u] = scaled * d2(at, w, gamma);
                store(rows.d2 + at_row, d2s[u]);
            }
        }
        if constexpr (order > 1) {
            V top[U] = {};
            ExclusiveSum<V> exclusive[U];
            for (std::int64_t k = 0; k < classes; ++k)
                for (int u = 0; u < U; ++u) top[u] = maximum(load(z + k * columns + c + u * N), top[u]);
            for (std::int64_t k = 0; k < classes; ++k)
                for (int u = 0; u < U; ++u) exclusive[u].add(load(z + k * columns + c + u * N), top[u]);
            for (std::int64_t k = 0; k < classes; ++k)
                for (int u = 0; u < U; ++u) {
                    const V e = load(z + k * columns + c + u * N);
                    const V safe = where(total[u] == V{}, constant<V>(T(1)), total[u]);
                    const V r_rest = all_but(e, top[u], exclusive[u].rest(top[u])) / safe;
                    store(h + k * columns + c + u * N, softmax_hessian(d1s[u], d2s[u], e / safe, r_rest));
                }
        }
        if constexpr (order > 0) {
            if (direct.across) {
                for (int u = 0; u < U; ++u) store(rows.d2 + c + u * N, pull[u]);
            } else if (direct.to) {
                V id[U];
                for (int u = 0; u < U; ++u) id[u] = load(rows.place_of_id + c + u * N);
                for (std::int64_t k = 0; k < classes; ++k)
                    for (int u = 0; u < U; ++u) {
                        const V of_others = softmax_gradient(load(z + k * columns + c + u * N), pull[u]);
                        const V grad = where(id[u] == constant<V>(static_cast<T>(k)), d1s[u], of_others);
                        T* to = direct.to + k * direct.to_stride + c + u * N;
                        if (direct.stream) stream(to, grad);
                        else store(to, grad);
                    }
            } else {
                for (std::int64_t k = 0; k < classes; ++k)
                    for (int u = 0; u < U; ++u) {
                        T* at = z + k * columns + c + u * N;
                        store(at, softmax_gradient(load(at), pull[u]));
                    }
            }
        }
    }
    return total_loss.sum();
}

/// Targets spread over classes. ``weight`` holds y_k alpha_k and becomes scratch; see
/// softmax_log_odds_all, softmax_gradient_soft and softmax_hessian_soft in _links.py.
///
/// Only the leading class b can have p_b > 1/2. Its odds, and r of the others given b, are summed
/// without it; for every other class 1 - p_k >= 1/2 and subtracting its share from the sum is safe.
template <int order, class T>
Sum soft_columns(const Job& job, T* z, T* e_tile, T* weight, T* h, int columns, const Rows<T>& rows) {
    using V = Vec<T>;
    constexpr int N = width<T>;
    const std::int64_t classes = job.classes;
    const V one = constant<V>(T(1)), zero{};
    LossSum total_loss;
    for (int c = 0; c < columns; c += N) {
        const V row_weight = load(rows.weight + c), scale = constant<V>(static_cast<T>(job.scale));
        V largest = load(z + c);
        for (std::int64_t k = 1; k < classes; ++k) largest = maximum(load(z + k * columns + c), largest);
        // the first of the largest leads; ``rest`` is the sum of the others, ``second`` the largest of them
        V rest{}, second{}, lead = constant<V>(T(-1));
        for (std::int64_t k = 0; k < classes; ++k) {
            const V logit = load(z + k * columns + c);
            const V e = exp_nonpositive<V>(logit - largest);
            store(e_tile + k * columns + c, e);
            const auto leads = (logit == largest) & (lead < zero);
            lead = where(leads, constant<V>(static_cast<T>(k)), lead);
            const V other = where(leads, zero, e);
            rest = rest + other;
            second = maximum(second, other);
        }
        ExclusiveSum<V> without_lead;
        if constexpr (order > 1)
            for (std::int64_t k = 0; k < classes; ++k) {
                const auto leads = lead == constant<V>(static_cast<T>(k));
                without_lead.add(where(leads, zero, load(e_tile + k * columns + c)), second);
            }
        const V total = one + rest;
        const V safe_rest = where(rest == zero, one, rest);
        V value{}, d1_lead{}, d2_lead{}, first_sum{}, second_sum{}, to_lead{};
        const V p_lead = one / total, q_lead = rest / total;
        for (std::int64_t k = 0; k < classes; ++k) {
            const std::int64_t place = k * columns + c;
            const V e = load(e_tile + place);
            const auto leads = lead == constant<V>(static_cast<T>(k));
            const V others = where(leads, rest, one + where(rest > e, rest - e, zero));
            const V m = log_odds(load(z + place), largest, others);
            const V gamma = constant<V>(parameter<T>(job.gamma, job.gamma_per_class, k, T(0)));
            const V share = load(weight + place) * row_weight;
            const Probabilities<V> at = probabilities(m);
            const V w = modulation<Power::any>(at, gamma);
            value = value + weighted(share, loss(at, w));
            if constexpr (order > 0) {
                const V d = share * scale * d1<Power::any>(at, w, gamma);
                const V safe_q = others / total;
                store(weight + place, d);
                d1_lead = where(leads, d, d1_lead);
                first_sum = first_sum + where(leads, zero, -d / safe_q);
                if constexpr (order > 1) {
                    const V dd = share * scale * d2(at, w, gamma);
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
                const V q = where(leads, one, (one + where(rest > e, rest - e, zero)) / total);
                const V p = e / total;
                const V own_pull = where(leads, zero, -d / q);
                const V pull =
                    where(first_sum > own_pull, first_sum - own_pull, where(first_sum == first_sum, zero, first_sum));
                const V r = where(leads, zero, e / safe_rest);
                store(z + place, d + rounded<V>(p * pull) - rounded<V>(d1_lead * r));
                if constexpr (order > 1) {
                    const V dd = load(h + place);
                    const V own_second = where(leads, zero, (d + dd) / (q * q));
                    const V r_rest = all_but(e, second, without_lead.rest(second)) / safe_rest;
                    const V from_lead = softmax_hessian(d1_lead, d2_lead, r, r_rest);
                    const V of_others = p * pull + p * p * (second_sum - own_second) + from_lead;
                    store(h + place, dd + where(leads, to_lead, of_others));
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
        const double alpha = static_cast<double>(parameter<T>(job.alpha, job.alpha_per_class, k, T(1)));
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
        sums.weight += (share[r] - 1) * static_cast<double>(rows.weight[r]);
        const double off = total[r] - 1;
        sums.bad_targets += (outside[r] != 0) | !((off <= slack) & (off >= -slack));
    }
}

/// y_k alpha_k for each class and row: from probabilities or, smoothed, from class ids.
template <class T>
void spread_targets(const Job& job, std::int64_t first, int count, T* weight, int columns, const Rows<T>& rows,
                    Partial& sums) {
    const T s = static_cast<T>(job.label_smoothing), even = s / static_cast<T>(job.classes);
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
        const T alpha = parameter<T>(job.alpha, job.alpha_per_class, k, T(1));
        for (int r = 0; r < columns; ++r) {
            T& y = weight[k * columns + r];
            y = ((T(1) - s) * y + even) * alpha;
        }
    }
}

template <class T>
std::int64_t columns_scratch(const Job& job, int columns) {
    const bool spread = job.soft || job.label_smoothing != 0;
    const int tiles = spread ? 4 : job.order > 1 ? 2 : 1;
    return Rows<T>::bytes(columns) + tiles * job.classes * columns * static_cast<std::int64_t>(sizeof(T));
}

/// Rows of a tile: as many as stay in the first cache. Odd multiples of 32, so that the same row of two
/// classes is seldom a multiple of 4096 bytes apart, which processors take for the same address.
inline int columns_of_tile(const Job& job) {
    const std::int64_t row_bytes = job.classes * (job.type == Type::f64 ? 8 : 4);
    for (int columns = most_columns; columns > 32; columns -= 64)
        if (columns * row_bytes <= 28672) return columns;
    return 32;
}

template <class T>
Sum hard_columns_of_job(const Job& job, T* z, T* h, int columns, const Rows<T>& rows, const Direct<T>& direct) {
    const auto with_power = [&]<Power power>() {
        if (job.order == 0) return hard_columns<power, 0>(z, h, job.classes, columns, rows, direct);
        if (job.order == 1) return hard_columns<power, 1>(z, h, job.classes, columns, rows, direct);
        return hard_columns<power, 2>(z, h, job.classes, columns, rows, direct);
    };
    switch (job.power) {
        case 0: return with_power.template operator()<Power::zero>();
        case 1: return with_power.template operator()<Power::one>();
        case 2: return with_power.template operator()<Power::two>();
        default: return with_power.template operator()<Power::any>();
    }
}

template <class T>
Sum soft_columns_of_job(const Job& job, T* z, T* tiles, int columns, const Rows<T>& rows) {
    const std::int64_t size = job.classes * columns;
    T *e = tiles, *weight = tiles + size, *h = tiles + 2 * size;
    if (job.order == 0) return soft_columns<0>(job, z, e, weight, h, columns, rows);
    if (job.order == 1) return soft_columns<1>(job, z, e, weight, h, columns, rows);
    return soft_columns<2>(job, z, e, weight, h, columns, rows);
}

/// The tile's rows in the array itself, if they lie side by side; null if not.
template <class T>
T* side_by_side(const Job& job, const Array& array, std::int64_t first, int count) {
    if (array.inner != 1) return nullptr;
    const std::int64_t o = first / job.inner, i = first - o * job.inner;
    return i + count <= job.inner ? static_cast<T*>(array.data) + o * array.outer + i : nullptr;
}

/// Scales a tile into rows of contiguous classes.
template <class T>
void write_across(const Job& job, std::int64_t first, int columns, const T* z, const Rows<T>& rows) {
    T* to = static_cast<T*>(job.grad.data) + first * job.grad.inner;
    transpose_out(to, job.grad.inner, job.classes, columns, z, columns, [&](Vec<T> e, std::int64_t k, int r) {
        const Vec<T> of_others = softmax_gradient(e, load(rows.d2 + r));
        return where(load(rows.place_of_id + r) == constant<Vec<T>>(static_cast<T>(k)), load(rows.d1 + r), of_others);
    });
}

template <class S>
void softmax_columns_chunk(const Job& job, std::int64_t chunk, void* scratch, Partial& sums) {
    using T = typename Compute<S>::type;
    constexpr int step = 2 * width<T>;
    const bool spread = job.soft || job.label_smoothing != 0;
    const int most = columns_of_tile(job);
    const std::int64_t begin = chunk * job.rows_per_chunk;
    const std::int64_t end = begin + job.rows_per_chunk < job.rows() ? begin + job.rows_per_chunk : job.rows();
    for (std::int64_t first = begin; first < end; first += most) {
        const int count = end - first < most ? static_cast<int>(end - first) : most;
        const int columns = (count + step - 1) / step * step;
        Rows<T> rows;
        T* z = rows.place(static_cast<T*>(scratch), columns);
        T* h = z + job.classes * columns;
        const bool some_out = read_rows(job, first, count, columns, rows, sums);
        Direct<T> direct;
        if constexpr (sizeof(S) == sizeof(T))
            if (!spread && !some_out && count == columns) {
                direct.from = side_by_side<const T>(job, job.logits, first, count);
                direct.from_stride = job.logits.classes;
                direct.more = direct.from && first + 2 * most <= end;
                if (job.order == 1 && job.classes < (1 << 24) && job.grad.classes != 1)
                    direct.to = side_by_side<T>(job, job.grad, first, count);
                direct.to_stride = job.grad.classes;
                direct.stream = job.stream && reinterpret_cast<std::uintptr_t>(direct.to) % sizeof(Vec<T>) == 0 &&
                                direct.to_stride % width<T> == 0;
                direct.across = job.order == 1 && job.grad.classes == 1 && job.classes >= quad<T> &&
                                job.classes < (1 << 24) && job.outer == 1;
                for (int r = 0; r < columns; ++r) rows.place_of_id[r] = static_cast<T>(rows.id[r]);
            }
        if (!direct.from) load_tile<T, S>(job, job.logits, first, count, z, columns);
        if (some_out) blank_rows(job, count, z, columns, rows);
        if (spread) {
            spread_targets(job, first, count, z + 2 * job.classes * columns, columns, rows, sums);
            sums.loss.add(soft_columns_of_job(job, z, h, columns, rows));
            h = z + 3 * job.classes * columns;
        } else {
            if (!direct.from) set_apart(z, 0, columns, columns, rows);
            sums.loss.add(hard_columns_of_job(job, z, h, columns, rows, direct));
            if (direct.across) write_across(job, first, columns, z, rows);
            if (job.order > 0 && !direct.to && !direct.across)
                for (int r = 0; r < count; ++r) z[static_cast<std::int64_t>(rows.id[r]) * columns + r] = rows.d1[r];
            if (job.order > 1)
                for (int r = 0; r < count; ++r) h[static_cast<std::int64_t>(rows.id[r]) * columns + r] = rows.d2[r];
        }
        if (job.losses) store_losses<T, S>(job, first, count, rows.loss);
        if (job.order > 0 && !direct.to && !direct.across) store_tile<T, S>(job, job.grad, first, count, z, columns);
        if (job.order > 1) store_tile<T, S>(job, job.hess, first, count, h, columns);
    }
    if (job.stream) stream_fence();
}

}  // namespace focalkit::FOCALKIT_ISA
