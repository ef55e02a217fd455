// The asymmetric loss with a margin of probability, of 0/1 targets: each side by itself.
#pragma once
#include "focalkit/kernels/targets.hpp"
#include "focalkit/math/forms.hpp"

namespace focalkit::FOCALKIT_ISA {

/// A block as ``sigmoid_block`` has it, where weights and exponents are the same for all. ``whole`` is the negatives'
/// gamma, or -1 for any.
///
/// The positives, which are few, are gathered, and the negatives beyond the margin where by a sample they are few too;
/// the others have no loss. Loops of short chains follow one another, since a processor looks ahead for so many
/// operations only, however many of them wait. Of ``block`` only z, y and the weights stay as they are.
template <int order, int whole, class T>
bool margin_block(const Job& job, int count, const T* z_at, const T* y_at, T* grad_at, Elements<T>& block,
                  LossSum& total) {
    using V = Vec<T>;
    constexpr int N = width<T>;
    const Sides<T> sides(job, block.gamma[0]);
    const Clip<T> clip(job);
    const T positive = block.positive[0], negative = block.negative[0], scale = static_cast<T>(job.scale);
    const int whole_negative = whole < 0 ? sides.whole_negative : whole;
    const bool streamed = grad_at != block.z && job.stream;
    T *of_positives = block.loss, *of_negatives = block.hess;
    T *n_at = of_negatives, *r_at = block.gamma, *power_at = of_negatives, *rise_at = block.gamma;
    T *w_at = block.kept, *log_at = block.adjustment, *inverse_at = block.adjustment + Elements<T>::place;
    LaneSet positive_lanes[Elements<T>::most / N], negative_lanes[Elements<T>::most / N];
    Between<V> between;
    int positives = 0, negatives = 0, above = 0;
    for (int i = 0; i < count; i += 4 * N) above += size(lanes_above(load(z_at + i), -clip.top));
    const bool few = 8 * above < count;
    const auto gather_positives = [&](int i, V z, V y) {
        const LaneSet ones = lanes_equal(y, T(1));
        between.look_outside(y, ones);
        positive_lanes[i / N] = ones;
        positives += gather(of_positives + positives, z, ones);
        return ones;
    };
    const V below = constant<V>(-clip.top);  // where there is no loss
    const auto step = [&](int i, V z) {
        const Steps<V> d = steps_from_edge(z, clip);
        store(n_at + i, d.n), store(r_at + i, d.r);
    };
    if (few) {
        for (int i = 0; i < count; i += N) {
            const V z = load(z_at + i);
            const LaneSet zeros = static_cast<LaneSet>(~gather_positives(i, z, load(y_at + i)));
            negative_lanes[i / N] = lanes_above(z, -clip.top) & zeros;
            negatives += gather(of_negatives + negatives, z, negative_lanes[i / N]);
        }
        store(of_negatives + negatives, below);
        for (int i = 0; i < negatives; i += N) step(i, load(of_negatives + i));
    } else {
        negatives = count;
        for (int i = 0; i < count; i += N) {
            const V z = load(z_at + i), y = load(y_at + i);
            gather_positives(i, z, y);
            step(i, where(y != T(1), maximum(below, z), below));
        }
    }
    store(of_positives + positives, infinity<V>());  // which have no loss
    LossSum sum = total;
    for (int i = 0; i < positives; i += N) {
        const Slopes<V> f =
            one_side<order>(probabilities(load(of_positives + i)), sides.positive, sides.whole_positive);
        sum.add(V(positive * f.loss));
        if constexpr (order > 0) store(of_positives + i, V(positive * scale * f.d1));
    }
    for (int i = 0; i < negatives; i += N) {
        const FromEdge<V> edge = from_edge<V>({load(n_at + i), load(r_at + i)}, clip);
        prefetch(z_at + i + Elements<T>::most);  // of the next block
        store(power_at + i, edge.power), store(rise_at + i, edge.rise);
        store(w_at + i, odds_beyond_margin(edge, clip));
    }
    for (int i = 0; i < negatives; i += N) {
        prefetch(y_at + i + Elements<T>::most);
        store(log_at + i, log1p_nonnegative(load(w_at + i)));
        store(inverse_at + i, inverse_of_margin<V>({load(power_at + i), load(rise_at + i)}, clip));
    }
    V part{};
    const T *next_positive = of_positives, *next_negative = of_negatives;
    for (int i = 0, at = 0; i < negatives; i += N, ++at) {
        const FromEdge<V> edge = {load(power_at + i), load(rise_at + i)};
        const BeyondMargin<V> beyond =
            beyond_margin<V>(edge, load(w_at + i), load(inverse_at + i), clip, T(-negative * scale));
        const Slopes<V> f = clipped<order>(beyond, V(load(log_at + i)), sides.negative, whole_negative);
        const V grad = f.d1;
        part = part + f.loss;
        if (order > 0 && few) {
            store(of_negatives + i, grad);
        } else if constexpr (order > 0) {
            const V both = scatter(next_positive, positive_lanes[at], grad);
            if (streamed) stream(grad_at + i, both);
            else store(grad_at + i, both);
        }
        if (sizeof(T) == 8 || at % 4 == 3) sum.add(V(negative * part)), part = V{};
    }
    sum.add(V(negative * part));
    total = sum;
    if (order > 0 && few)
        for (int i = 0, at = 0; i < count; i += N, ++at) {
            V grad = scatter(next_negative, negative_lanes[at], V{});
            grad = scatter(next_positive, positive_lanes[at], grad);
            if (streamed) stream(grad_at + i, grad);
            else store(grad_at + i, grad);
        }
    return between.any();
}

}  // namespace focalkit::FOCALKIT_ISA
