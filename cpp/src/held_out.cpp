#include "held_out.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "dispatch.hpp"

namespace focalkit {
namespace {

/// log h of a class, by definition.py's names: -nll + gamma nll_other - log1p(gamma p nll / q).
double log_h(double p, double q, double nll, double nll_other, double gamma) {
    const double ratio = q > 0 ? (p > 0 ? p * nll : p) / q : p;
    return gamma * nll_other - nll - std::log1p(gamma * ratio);
}

/// One row, in logarithms. Only the leading class can have p > 1/2: what the others sum to is summed without it, at a
/// scale of its own, so that nothing is lost where that underflows beside 1.
void recover_row(const double* z, std::int64_t classes, double gamma, double* e, double* out) {
    std::int64_t lead = 0;
    for (std::int64_t k = 1; k < classes; ++k)
        if (z[k] > z[lead]) lead = k;
    const double top = z[lead];
    double second = -std::numeric_limits<double>::infinity(), rest = 0;
    for (std::int64_t k = 0; k < classes; ++k) {
        e[k] = k == lead ? 1 : std::exp(z[k] - top);
        if (k == lead) continue;
        rest += e[k];
        second = std::max(second, z[k]);
    }
    const double sum = 1 + rest, nll_lead = std::log1p(rest);
    double log_rest = second - top;
    if (classes > 2) {
        double scaled = 0;
        for (std::int64_t k = 0; k < classes; ++k)
            if (k != lead) scaled += std::exp(z[k] - second);
        log_rest += std::log(scaled);
    }
    double largest = -std::numeric_limits<double>::infinity();
    for (std::int64_t k = 0; k < classes; ++k) {
        if (k == lead) {
            out[k] = log_h(1 / sum, rest / sum, nll_lead, nll_lead - log_rest, gamma);
        } else {
            const double others = sum - e[k];
            out[k] = log_h(e[k] / sum, others / sum, nll_lead - (z[k] - top), nll_lead - std::log(others), gamma);
        }
        largest = std::max(largest, out[k]);
    }
    for (std::int64_t k = 0; k < classes; ++k) out[k] = std::exp(out[k] - largest);
}

/// Unsigned integers in the order of the numbers, NaN above all.
std::uint64_t key_of(double value) {
    constexpr std::uint64_t sign = std::uint64_t(1) << 63;
    if (value != value) return ~std::uint64_t(0);
    value += 0.0;  // -0 is 0
    std::uint64_t u;
    std::memcpy(&u, &value, sizeof u);
    return u & sign ? ~u : u | sign;
}

struct Row {
    std::uint64_t key;
    std::int32_t at;
    std::uint32_t rough;
};

/// As the keys of most probabilities are ordered, in half the bits: floats that are as near to 0 or to 1.
std::uint32_t rough_key(double p) {
    const auto place = [](double x) {
        const float rounded = static_cast<float>(x > 0 ? x : 0.0);
        std::uint32_t u;
        std::memcpy(&u, &rounded, sizeof u);
        return u;
    };
    if (p != p) return ~std::uint32_t(0);
    return p < 0.5 ? place(p) : ~std::uint32_t(0) - place(1 - p);
}

/// By their keys, of equal ones in the order that they have: byte after byte of the rough ones, from the last on, and
/// then the few that these do not tell apart. A byte that is the same in all keys moves nothing.
void sort_by_key(std::vector<Row>& rows) {
    constexpr int bytes = 4, values = 256;
    std::int64_t places[bytes][values] = {};
    for (const Row& row : rows)
        for (int b = 0; b < bytes; ++b) ++places[b][row.rough >> 8 * b & 0xff];
    std::vector<Row> sorted(rows.size());
    for (int b = 0; b < bytes && !rows.empty(); ++b) {
        if (places[b][rows[0].rough >> 8 * b & 0xff] == static_cast<std::int64_t>(rows.size())) continue;
        std::int64_t before = 0;
        for (std::int64_t& place : places[b]) before += std::exchange(place, before);
        for (const Row& row : rows) sorted[static_cast<std::size_t>(places[b][row.rough >> 8 * b & 0xff]++)] = row;
        rows.swap(sorted);
    }
    const auto before = [](const Row& a, const Row& b) { return a.key != b.key ? a.key < b.key : a.at < b.at; };
    for (auto row = rows.begin(); row != rows.end();) {
        auto end = row + 1;
        for (; end != rows.end() && end->rough == row->rough; ++end);
        if (end - row > 1) std::sort(row, end, before);
        row = end;
    }
}

/// Of two classes: the minimum of the loss is where the pulls of both, each with its probability, are equal, so that
/// the probabilities are as the pulls of the other one.
void recover_pairs(const double* z, std::int64_t n, double gamma, const double* weights, double* out) {
    constexpr std::int64_t most = 256;
    double m[most], loss[most], pull[most];
    const double first = weights ? 1 / weights[0] : 1, second = weights ? 1 / weights[1] : 1;
    for (std::int64_t at = 0; at < n; at += most / 2) {
        const std::int64_t count = std::min(most / 2, n - at);
        for (std::int64_t i = 0; i < count; ++i) m[i] = z[at + i], m[count + i] = -z[at + i];
        dispatch::kernels().terms(m, 2 * count, &gamma, true, loss, pull);
        for (std::int64_t i = 0; i < count; ++i) {
            const double of_first = pull[i] * first, of_second = pull[count + i] * second, sum = of_first + of_second;
            out[2 * (at + i)] = of_first / sum, out[2 * (at + i) + 1] = of_second / sum;
        }
    }
}

}  // namespace

void recover(const double* logits, std::int64_t n, std::int64_t classes, bool one_logit, double gamma,
             const double* weights, double* out) {
    if (one_logit) return recover_pairs(logits, n, gamma, weights, out);
    dispatch::kernels().posterior(logits, n, classes, gamma, out);
    std::vector<double> e(static_cast<std::size_t>(classes));
    for (std::int64_t i = 0; i < n; ++i, out += classes) {
        if (std::any_of(out, out + classes, [](double h) { return h != h; }))
            recover_row(logits + i * classes, classes, gamma, e.data(), out);
        double total = 0;
        for (std::int64_t k = 0; k < classes; ++k) total += weights ? out[k] /= weights[k] : out[k];
        for (std::int64_t k = 0; k < classes; ++k) out[k] /= total;
    }
}

void class_figures(const double* probability, std::int64_t n, std::int64_t classes, const std::int64_t* targets,
                   std::int64_t c, std::int64_t bins, double& precision, double& gap) {
    std::vector<Row> rows(static_cast<std::size_t>(n));
    std::int64_t hits = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        const double p = probability[i * classes];
        rows[static_cast<std::size_t>(i)] = {key_of(p), static_cast<std::int32_t>(i), rough_key(p)};
        hits += targets[i] == c;
    }
    sort_by_key(rows);
    bins = std::min(bins, n);
    gap = 0;
    auto row = rows.begin();
    for (std::int64_t bin = 0; bin < bins; ++bin) {  // the first ones have the rows that are over
        double of_bin = 0;
        for (const auto end = row + (n / bins + (bin < n % bins)); row != end; ++row)
            of_bin += probability[row->at * classes] - (targets[row->at] == c);
        gap += std::abs(of_bin);
    }
    gap /= static_cast<double>(std::max<std::int64_t>(n, 1));
    precision = 0;
    std::int64_t found = 0, seen = 0;
    for (std::int64_t at = n; at-- > 0;) {  // equal probabilities are found together
        std::int64_t here = targets[rows[static_cast<std::size_t>(at)].at] == c;
        ++seen;
        for (; at > 0 && rows[static_cast<std::size_t>(at - 1)].key == rows[static_cast<std::size_t>(at)].key; --at) {
            here += targets[rows[static_cast<std::size_t>(at - 1)].at] == c;
            ++seen;
        }
        if (!here) continue;  // most rows, and a division each
        found += here;
        precision += static_cast<double>(here) * (static_cast<double>(found) / static_cast<double>(seen));
    }
    precision = hits ? precision / static_cast<double>(hits) : 0.0;
}

void count_shifts(const double* posterior, std::int64_t n, std::int64_t classes, const std::int64_t* targets,
                  const std::int64_t* known, std::int64_t n_known, const double* shift, std::int64_t shifts,
                  std::int64_t* right, std::int64_t* named) {
    dispatch::kernels().shifted(posterior, n, classes, targets, known, n_known, shift, shifts, right, named);
    for (std::int64_t at = classes; at < shifts * classes; ++at) {
        named[at] += named[at - classes];
        right[at] += right[at - classes];
    }
}

void count_cutoffs(const double* posterior, std::int64_t n, const std::int64_t* targets, const double* cutoffs,
                   std::int64_t n_cutoffs, std::int64_t* above) {
    // cut-offs are evenly spaced for the most part: where one would lie, then where it does
    const double width = n_cutoffs > 1 ? cutoffs[n_cutoffs - 1] - cutoffs[0] : 0;
    const double per_unit = width > 0 ? static_cast<double>(n_cutoffs - 1) / width : 0;
    for (std::int64_t i = 0; i < n; ++i) {
        const double odds = std::log(posterior[2 * i + 1]) - std::log(posterior[2 * i]);
        std::int64_t passed = n_cutoffs;
        if (odds == odds && n_cutoffs) {  // NaN is sorted last
            const double place = per_unit > 0 ? (odds - cutoffs[0]) * per_unit : 0;
            passed = static_cast<std::int64_t>(std::clamp(place, 0.0, static_cast<double>(n_cutoffs)));
            while (passed > 0 && !(cutoffs[passed - 1] < odds)) --passed;
            while (passed < n_cutoffs && cutoffs[passed] < odds) ++passed;
        }
        ++above[targets[i] * (n_cutoffs + 1) + passed];
    }
}

}  // namespace focalkit
