// The linear model's products over tiles of rows: logits, gradients, and the curvature matrix. A lane is a row.
#pragma once
#include "focalkit/linear.hpp"
#include "focalkit/simd/simd.hpp"

namespace focalkit::FOCALKIT_ISA {

template <int N>
struct Count {
    static constexpr int value = N;
};

/// Calls ``block(first, Count<n>)`` for n at a time of ``count``: ``most``, and what is left, at once where it is less
/// than four.
template <int most, class Block>
FOCALKIT_INLINE void in_blocks(std::int64_t count, const Block& block, std::int64_t first = 0) {
    for (; first + most <= count; first += most) block(first, Count<most>{});
    if constexpr (most > 4) in_blocks<most / 2>(count, block, first);
    else if (count - first == 3) block(first, Count<3>{});
    else if (count - first == 2) block(first, Count<2>{});
    else if (count - first == 1) block(first, Count<1>{});
}

/// Four columns at a time, each read from its first row to its last: memory is fetched ahead of a few streams alone.
template <class T>
void tile_logits(const Tile<T>& tile, std::int64_t classes, const T* theta, T* z) {
    constexpr int lanes = width<T>;
    in_blocks<4>(classes, [&]<int K>(std::int64_t k, Count<K>) {
        T* of_class = z + k * tile.height;
        in_blocks<4>(tile.n_columns, [&]<int A>(std::int64_t a, Count<A>) {
            const T* columns = tile.columns + a * tile.apart;
            Vec<T> by[A][K];
            for (int c = 0; c < A; ++c)
                for (int i = 0; i < K; ++i) by[c][i] = constant<Vec<T>>(theta[(a + c) * classes + k + i]);
            for (std::int64_t row = 0; row < tile.rows; row += lanes) {
                Vec<T> sum[K];
                for (int i = 0; i < K; ++i) sum[i] = a ? load(of_class + i * tile.height + row) : Vec<T>{};
                for (int c = 0; c < A; ++c) {
                    const Vec<T> x = load(columns + c * tile.apart + row);
                    for (int i = 0; i < K; ++i) sum[i] = sum[i] + x * by[c][i];
                }
                for (int i = 0; i < K; ++i) store(of_class + i * tile.height + row, sum[i]);
            }
        });
    });
}

/// The sum over the lanes, in float64: by halves, of which none waits for more than a few others.
template <class T>
FOCALKIT_INLINE double across(Vec<T> v) {
    T lane[width<T>];
    store(lane, v);
    double sum[width<T>];
    for (int l = 0; l < width<T>; ++l) sum[l] = static_cast<double>(lane[l]);
    for (int half = width<T> / 2; half; half /= 2)
        for (int l = 0; l < half; ++l) sum[l] += sum[l + half];
    return sum[0];
}

template <class T>
void tile_pull(const Tile<T>& tile, std::int64_t classes, const T* grad, double* sums) {
    constexpr int lanes = width<T>;
    const auto pull = [&]<int most>(Count<most>) {
        in_blocks<4>(classes, [&]<int K>(std::int64_t k, Count<K>) {
            in_blocks<most>(tile.n_columns, [&]<int A>(std::int64_t a, Count<A>) {
                const T *columns = tile.columns + a * tile.apart, *of_class = grad + k * tile.height;
                Vec<T> sum[A][K] = {};
                for (std::int64_t row = 0; row < tile.rows; row += lanes) {
                    Vec<T> g[K];
                    for (int i = 0; i < K; ++i) g[i] = load(of_class + i * tile.height + row);
                    for (int c = 0; c < A; ++c) {
                        const Vec<T> x = load(columns + c * tile.apart + row);
                        for (int i = 0; i < K; ++i) sum[c][i] = sum[c][i] + g[i] * x;
                    }
                }
                for (int c = 0; c < A; ++c)
                    for (int i = 0; i < K; ++i) sums[(a + c) * classes + k + i] += across<T>(sum[c][i]);
            });
        });
    };
    classes == 1 ? pull(Count<8>{}) : pull(Count<4>{});  // enough sums that none waits for itself
}

/// A row that pulls less than this, whose inverse may be no number, has no curvature beside the others.
inline constexpr float least_slope = 1e-19f;

/// See LinearKernels. With u = e_t - r it is ``max(d2, 0) u u' - d1 (diag r - r r')``, r the softmax over the others.
inline void tile_curvature(const float* grad, const float* hess, std::int64_t classes, std::int64_t height,
                           const std::int64_t* targets, std::int64_t rows, float* entries) {
    constexpr int lanes = width<float>;
    if (classes == 1) {
        for (std::int64_t i = 0; i < rows; i += lanes) store(entries + i, maximum(load(hess + i), FloatV{}));
        return;
    }
    float* memory = new float[static_cast<std::size_t>((2 * classes + 1) * lanes)];
    float *id = memory, *r = id + lanes, *u = r + classes * lanes;
    const FloatV one = constant<FloatV>(1.0f), least = constant<FloatV>(-least_slope);
    for (std::int64_t i = 0; i < rows; i += lanes) {
        for (int l = 0; l < lanes; ++l) id[l] = static_cast<float>(targets[i + l]);
        const FloatV of_row = load(id);
        FloatV second{}, bend{};  // slope and bend of the row's own class
        for (std::int64_t k = 0; k < classes; ++k) {
            const auto own = of_row == constant<FloatV>(static_cast<float>(k));
            second = where(own, load(grad + k * height + i), second);
            bend = where(own, load(hess + k * height + i), bend);
        }
        const auto counts = second < least;
        const FloatV scale = where(counts, FloatV(-one / second), FloatV{}), first = maximum(bend, FloatV{});
        second = where(counts, second, FloatV{});
        for (std::int64_t k = 0; k < classes; ++k) {
            const auto own = of_row == constant<FloatV>(static_cast<float>(k));
            const FloatV of_class = load(grad + k * height + i) * scale;
            store(r + k * lanes, where(own, FloatV{}, of_class));
            store(u + k * lanes, where(own, one, FloatV(-of_class)));
        }
        float* entry = entries + i;
        for (std::int64_t k = 0; k < classes - 1; ++k) {
            const FloatV bent = first * load(u + k * lanes), pulled = second * load(r + k * lanes);
            for (std::int64_t j = k; j < classes - 1; ++j, entry += height) {
                FloatV value = bent * load(u + j * lanes) + pulled * load(r + j * lanes);
                if (j == k) value = value - pulled;
                store(entry, value);
            }
        }
    }
    delete[] memory;
}

/// The products of columns a, a + 1, … < a + A with columns b, … < b + B; those below the diagonal go nowhere.
template <int A, int B>
FOCALKIT_INLINE void add_products(const float* first, std::int64_t first_apart, const float* second,
                                  std::int64_t second_apart, std::int64_t rows, std::int64_t above, float* const* to) {
    constexpr int lanes = width<float>;
    FloatV sum[A][B] = {};
    for (std::int64_t i = 0; i < rows; i += lanes) {
        FloatV x[A];
        for (int c = 0; c < A; ++c) x[c] = load(first + c * first_apart + i);
        for (int d = 0; d < B; ++d) {
            const FloatV y = load(second + d * second_apart + i);
            for (int c = 0; c < A; ++c) sum[c][d] = sum[c][d] + x[c] * y;
        }
    }
    for (int c = 0; c < A; ++c)
        for (int d = 0; d < B; ++d)
            if (d + above >= c) store(to[c] + d * lanes, load(to[c] + d * lanes) + sum[c][d]);
}

/// A few rows at a time, whose columns stay in the first cache; four columns by four, whose sums are kept by lane until
/// the end.
inline void tile_products(const Tile<float>& tile, const float* weights, std::int64_t n_weights, double* sums) {
    constexpr int lanes = width<float>;
    const std::int64_t D = tile.n_columns, pairs = D * (D + 1) / 2;
    const std::int64_t few = 5120 / D / lanes * lanes, height = few < 64 ? 64 : few < 512 ? few : 512;
    float* memory = new float[static_cast<std::size_t>(pairs * lanes + D * height + lanes)];
    // vectors that lie across two lines of the cache are two loads
    float* kept = memory + (-reinterpret_cast<std::uintptr_t>(memory) % (lanes * sizeof(float))) / sizeof(float);
    float* weighted = kept + pairs * lanes;
    for (std::int64_t line = 0; line < n_weights; ++line) {
        for (std::int64_t at = 0; at < pairs * lanes; ++at) kept[at] = 0;
        for (std::int64_t row = 0; row < tile.rows; row += height) {
            const std::int64_t rows = height < tile.rows - row ? height : tile.rows - row;
            const float *columns = tile.columns + row, *of_row = weights + line * tile.height + row;
            for (std::int64_t a = 0; a < D; ++a)
                for (std::int64_t i = 0; i < rows; i += lanes)
                    store(weighted + a * height + i, load(columns + a * tile.apart + i) * load(of_row + i));
            in_blocks<4>(D, [&]<int A>(std::int64_t a, Count<A>) {
                in_blocks<4>(D - a, [&]<int B>(std::int64_t beyond, Count<B>) {
                    // of column c the pairs (c, c), (c, c + 1), … follow those of the columns before it
                    float* to[A];
                    for (int c = 0; c < A; ++c) to[c] = kept + ((a + c) * (2 * D - a - c + 1) / 2 + beyond - c) * lanes;
                    add_products<A, B>(weighted + a * height, height, columns + (a + beyond) * tile.apart, tile.apart,
                                       rows, beyond, to);
                });
            });
        }
        for (std::int64_t at = 0; at < pairs; ++at) sums[line * pairs + at] += across<float>(load(kept + at * lanes));
    }
    delete[] memory;
}

}  // namespace focalkit::FOCALKIT_ISA
