#include "envelope.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace focalkit {
namespace {

constexpr double INF = std::numeric_limits<double>::infinity();

/// A line on the envelope of those before it, and where it becomes the lowest.
struct Piece {
    std::int64_t line;
    double intercept, slope, start;
};

/// The lines from the steepest down, which is the order in which they become the lowest.
void by_slope(const double* slope, std::vector<std::int64_t>& order) {
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [slope](std::int64_t a, std::int64_t b) { return slope[a] > slope[b]; });
}

/// The lower envelope of straight lines: how many of ``pieces`` it has.
std::size_t envelope(const double* intercept, const double* slope, const std::vector<std::int64_t>& order,
                     std::vector<Piece>& pieces) {
    std::size_t size = 0;
    for (const std::int64_t line : order) {
        double start = -INF;
        while (size > 0) {
            const Piece& top = pieces[size - 1];
            const double fall = top.slope - slope[line], rise = intercept[line] - top.intercept;
            if (fall > 0) start = rise / fall;
            else start = rise < 0 ? -INF : INF;  // parallel: the lower stays, of equal ones the first
            if (start > top.start) break;
            --size;
            start = -INF;
        }
        if (start < INF) pieces[size++] = {line, intercept[line], slope[line], start};
    }
    return size;
}

}  // namespace

Changes cheapest_changes(const WeighedCosts& given, std::int64_t c, double apart, std::int64_t* first) {
    const std::int64_t n = given.n, classes = given.classes;
    const auto many = static_cast<std::size_t>(classes);
    Changes out;
    std::vector<std::int64_t> order(many);
    std::vector<Piece> pieces(many);
    std::vector<double> intercept(many);
    if (!given.own_costs) by_slope(given.costs + c * classes, order);
    for (std::int64_t row = 0; row < n; ++row) {
        const double* costs = given.costs + (given.own_costs ? row * classes * classes : 0);
        const double* slope = costs + c * classes;
        if (given.own_costs) by_slope(slope, order);
        std::fill(intercept.begin(), intercept.end(), 0.0);
        for (std::int64_t k = 0; k < classes; ++k) {
            if (k == c) continue;
            const double mass = given.weights[k] * given.p[k * n + row];
            for (std::int64_t j = 0; j < classes; ++j)
                intercept[static_cast<std::size_t>(j)] += mass * costs[k * classes + j];
        }
        // lines in w_c p_c: where the costs are shared, so are their slopes
        const std::size_t size = envelope(intercept.data(), slope, order, pieces);
        std::size_t i = 0;
        while (i + 1 < size && pieces[i + 1].start <= 0) ++i;
        const double bar = pieces[i].intercept + apart * std::abs(pieces[i].intercept);
        while (i + 1 < size && pieces[i + 1].intercept <= bar) ++i;
        first[row] = pieces[i].line;
        const double scale = given.p[c * n + row];
        if (scale <= 0) continue;
        for (; i + 1 < size; ++i) {
            const double at = pieces[i + 1].start / scale;
            if (!(at < INF)) break;  // beyond any weight
            out.at.push_back(at);
            out.row.push_back(row);
            out.before.push_back(pieces[i].line);
            out.after.push_back(pieces[i + 1].line);
        }
    }
    return out;
}

}  // namespace focalkit
