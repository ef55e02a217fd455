// Kernels of the diagnosis; a lane is a row. All in double: an average over 10^8 rows forgives no
// bias.
#pragma once
#include "focalkit/job.hpp"
#include "focalkit/math/links.hpp"

namespace focalkit::FOCALKIT_ISA {

inline constexpr int ledger_tile_bytes = 1 << 15;
inline constexpr int ledger_most_rows = 256;

/// log-odds of one group of lanes of the tile z[class][row], the true class being masked by -inf.
FOCALKIT_INLINE DoubleV tile_log_odds(const double* z, std::int64_t classes, std::int64_t rows, DoubleV true_logit) {
    const DoubleV top = infinity<DoubleV>();
    DoubleV largest = -top;
    DoubleV bad = where(true_logit < top, DoubleV{}, constant<DoubleV>(1.0));
    for (std::int64_t k = 0; k < classes; ++k) {
        const DoubleV x = load(z + k * rows);
        largest = maximum(x, largest);
        bad = bad + where(x < top, DoubleV{}, constant<DoubleV>(1.0));
    }
    const DoubleV anchor = where(largest == -top, DoubleV{}, largest);
    DoubleV total{};
    for (std::int64_t k = 0; k < classes; ++k) total = total + exp_nonpositive<DoubleV>(load(z + k * rows) - anchor);
    const DoubleV alone = where(true_logit == -top, true_logit - true_logit, top);  // no other class: certain
    const DoubleV m = where(largest == -top, alone, (true_logit - anchor) - log_nonnegative(total));
    return where(bad == DoubleV{}, m, top - top);
}

template <class S>
std::int64_t log_odds_of(const LogOddsJob& job) {
    constexpr int lanes = width<double>;
    alignas(64) static thread_local double tile[ledger_tile_bytes / sizeof(double) + 8];
    const std::int64_t room = ledger_tile_bytes / static_cast<int>(sizeof(double));
    const bool fits = job.classes * lanes <= room;
    std::int64_t step = fits ? room / job.classes / lanes * lanes : lanes;
    if (step > ledger_most_rows) step = ledger_most_rows;
    double* z = fits ? tile : new double[static_cast<std::size_t>(job.classes * lanes)];
    const S* from = static_cast<const S*>(job.logits);
    std::int64_t refused = 0;
    for (std::int64_t first = 0; first < job.rows; first += step) {
        const std::int64_t n = job.rows - first < step ? job.rows - first : step;
        const S* piece = from + first * job.row_stride;
        if (job.class_stride == 1) {
            for (std::int64_t i = 0; i < n; ++i)
                for (std::int64_t k = 0; k < job.classes; ++k) z[k * step + i] = piece[i * job.row_stride + k];
        } else {
            for (std::int64_t k = 0; k < job.classes; ++k)
                for (std::int64_t i = 0; i < n; ++i) z[k * step + i] = piece[i * job.row_stride + k * job.class_stride];
        }
        for (std::int64_t i = n; i < (n + lanes - 1) / lanes * lanes; ++i)
            for (std::int64_t k = 0; k < job.classes; ++k) z[k * step + i] = 0;
        alignas(64) double true_logit[ledger_most_rows + 8];
        bool ignored[ledger_most_rows + 8];
        for (std::int64_t i = 0; i < (n + lanes - 1) / lanes * lanes; ++i) {
            const std::int64_t id = i < n ? load_once(job.ids + first + i) : 0;
            const bool inside = static_cast<std::uint64_t>(id) < static_cast<std::uint64_t>(job.classes);
            const std::int64_t t = inside ? id : 0;
            ignored[i] = id == job.ignore_index;
            true_logit[i] = inside || ignored[i] ? z[t * step + i] : __builtin_nan("");
            z[t * step + i] = -__builtin_inf();
        }
        for (std::int64_t i = 0; i < n; i += lanes) {
            const DoubleV m = tile_log_odds(z + i, job.classes, step, load(true_logit + i));
            double out[lanes];
            store(out, m);
            for (int l = 0; l < lanes && i + l < n; ++l) {
                job.m[first + i + l] = out[l];
                refused += !(out[l] > -__builtin_inf()) & !ignored[i + l];
            }
        }
    }
    if (!fits) delete[] z;
    return refused;
}

inline std::int64_t ledger_log_odds(const LogOddsJob& job) {
    return job.wide ? log_odds_of<double>(job) : log_odds_of<float>(job);
}

template <Power power>
void terms_of(const double* m, std::int64_t n, const double* gamma, bool one_gamma, double* loss_out,
              double* grad_out) {
    constexpr int lanes = width<double>;
    for (std::int64_t i = 0; i < n; i += lanes) {
        alignas(64) double in[lanes] = {}, g[lanes] = {};
        const int left = n - i < lanes ? static_cast<int>(n - i) : lanes;
        for (int l = 0; l < left; ++l) {
            in[l] = m[i + l];
            g[l] = one_gamma ? gamma[0] : gamma[i + l];
        }
        const Probabilities<DoubleV> at = probabilities(load(in));
        const DoubleV w = modulation<power>(at, load(g));
        alignas(64) double losses[lanes], grads[lanes];
        store(losses, where(at.nll == DoubleV{}, at.nll, loss(at, w)));
        store(grads, -d1<power>(at, w, load(g)));
        for (int l = 0; l < left; ++l) {
            loss_out[i + l] = losses[l];
            grad_out[i + l] = grads[l];
        }
    }
}

inline void ledger_terms(const double* m, std::int64_t n, const double* gamma, bool one_gamma, double* loss,
                         double* grad) {
    const double g = one_gamma ? gamma[0] : -1;
    (g == 0   ? terms_of<Power::zero>
     : g == 1 ? terms_of<Power::one>
     : g == 2 ? terms_of<Power::two>
              : terms_of<Power::any>)(m, n, gamma, one_gamma, loss, grad);
}

}  // namespace focalkit::FOCALKIT_ISA
