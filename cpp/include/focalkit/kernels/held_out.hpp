// What held-out rows say: posteriors of their logits, and decisions at every shift. A lane is a row.
#pragma once
#include "focalkit/job.hpp"
#include "focalkit/math/links.hpp"

namespace focalkit::FOCALKIT_ISA {

/// Some columns of a lane's worth of rows (n, classes) from row ``i`` on, a vector for each; the first of these rows
/// stands for those behind the last.
template <class Place>
FOCALKIT_INLINE void lanes_of(const double* rows, std::int64_t i, std::int64_t n, std::int64_t classes,
                              std::int64_t columns, double* out, const Place& place) {
    constexpr int lanes = width<double>;
    for (int l = 0; l < lanes; ++l) {
        const double* row = rows + (i + l < n ? i + l : i) * classes;
        for (std::int64_t k = 0; k < columns; ++k) out[k * lanes + l] = row[place(k)];
    }
}

/// Rows of logits z (n, classes), a lane each: what ``of_class`` makes of each class's log-odds, and of its exponential
/// beside that of the leading class, goes to ``out``.
template <class OfClass>
void each_class(const double* z, std::int64_t n, std::int64_t classes, double* out, const OfClass& of_class) {
    constexpr int lanes = width<double>;
    const DoubleV one = constant<DoubleV>(1.0);
    double *below = new double[static_cast<std::size_t>(2 * classes * lanes)], *e = below + classes *lanes;
    for (std::int64_t i = 0; i < n; i += lanes) {
        const std::int64_t left = n - i < lanes ? n - i : lanes;
        lanes_of(z, i, n, classes, classes, below, [](std::int64_t k) { return k; });
        DoubleV top = load(below);
        for (std::int64_t k = 1; k < classes; ++k) top = maximum(load(below + k * lanes), top);
        ExclusiveSum<DoubleV> sum;
        for (std::int64_t k = 0; k < classes; ++k) {
            const DoubleV distance = load(below + k * lanes) - top, of = exp_nonpositive<DoubleV>(distance);
            sum.add(of, one);
            store(below + k * lanes, distance);
            store(e + k * lanes, of);
        }
        const DoubleV rest = sum.rest(one);
        for (std::int64_t k = 0; k < classes; ++k) {
            const DoubleV of = load(e + k * lanes);
            store(e + k * lanes, of_class(load(below + k * lanes), of, all_but(of, one, rest)));
        }
        for (std::int64_t l = 0; l < left; ++l)
            for (std::int64_t k = 0; k < classes; ++k) out[(i + l) * classes + k] = e[k * lanes + l];
    }
    delete[] below;
}

/// Below it a slope has lost digits, and what is divided by it may be no number.
inline constexpr double least_divisor = 1e-150;

/// What the posteriors of rows of logits (n, classes) are in proportion to, h(p) = p q / -d1 of posterior.py; NaN where
/// a probability is so near to 1 that it takes logarithms.
template <Power power>
void posterior_of(const double* z, std::int64_t n, std::int64_t classes, double gamma, double* out) {
    const DoubleV g = constant<DoubleV>(gamma), least = constant<DoubleV>(least_divisor);
    each_class(z, n, classes, out, [&](DoubleV below, DoubleV e, DoubleV others) {
        if constexpr (power == Power::zero) return e;
        const Probabilities<DoubleV> at = probabilities(DoubleV(below - log_nonnegative(others)));
        const DoubleV pull = -d1<power>(at, modulation<power>(at, g), g);
        return where(pull > least, DoubleV(at.p * at.q / pull), constant<DoubleV>(__builtin_nan("")));
    });
}

inline void posterior(const double* z, std::int64_t n, std::int64_t classes, double gamma, double* out) {
    (gamma == 0   ? posterior_of<Power::zero>
     : gamma == 1 ? posterior_of<Power::one>
     : gamma == 2 ? posterior_of<Power::two>
                  : posterior_of<Power::any>)(z, n, classes, gamma, out);
}

/// Counts for each of the ``shifts`` what differs from the one before it (of the first, all); see count_shifts.
inline void shifted(const double* posterior, std::int64_t n, std::int64_t classes, const std::int64_t* targets,
                    const std::int64_t* known, std::int64_t n_known, const double* shift, std::int64_t shifts,
                    std::int64_t* right, std::int64_t* named) {
    constexpr int lanes = width<double>;
    const DoubleV tiny = constant<DoubleV>(0x1p-1022), one = constant<DoubleV>(1.0);
    double* log_p = new double[static_cast<std::size_t>((n_known + shifts) * lanes)];
    double* said = log_p + n_known * lanes;  // the classes' places among those known
    for (std::int64_t i = 0; i < n; i += lanes) {
        lanes_of(posterior, i, n, classes, n_known, log_p, [&](std::int64_t j) { return known[j]; });
        for (std::int64_t j = 0; j < n_known; ++j)
            store(log_p + j * lanes, log_nonnegative(maximum(load(log_p + j * lanes), tiny)));
        DoubleV changes{}, before{};
        for (std::int64_t t = 0; t < shifts; ++t) {
            DoubleV best = load(log_p) - shift[t], place{};
            for (std::int64_t j = 1; j < n_known; ++j) {
                const DoubleV value = load(log_p + j * lanes) - shift[j * shifts + t];
                const auto better = value > best;
                best = where(better, value, best);
                place = where(better, constant<DoubleV>(static_cast<double>(j)), place);
            }
            if (t) changes = changes + where(place == before, DoubleV{}, one);
            before = place;
            store(said + t * lanes, place);
        }
        double changed[lanes];
        store(changed, changes);
        for (int l = 0; l < lanes && i + l < n; ++l) {
            const auto add = [&](std::int64_t t, double place, std::int64_t rows) {
                const std::int64_t k = known[static_cast<std::int64_t>(place)], at = t * classes + k;
                named[at] += rows;
                right[at] += k == targets[i + l] ? rows : 0;
            };
            add(0, said[l], 1);
            for (std::int64_t t = 1; changed[l] > 0 && t < shifts; ++t) {
                const double now = said[t * lanes + l], last = said[(t - 1) * lanes + l];
                if (now != last) add(t, now, 1), add(t, last, -1), --changed[l];
            }
        }
    }
    delete[] log_p;
}

}  // namespace focalkit::FOCALKIT_ISA
