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
    T *of_positives = block.loss, *of_negatives = block.hess, *v_at = block.gamma, *pq_at = block.kept;
    LaneSet positive_lanes[Elements<T>::most / N], negative_lanes[Elements<T>::most / N];
    Between<V> between;
    constexpr int sampled = 4;  // every so many vectors
    int positives = 0, negatives = 0;
    for (int i = 0, at = 0; i < count; i += N, ++at) {
        const V z = load(z_at + i), y = load(y_at + i);
        const LaneSet ones = lanes_equal(y, T(1));
        between.look_outside(y, ones);
        positive_lanes[at] = ones;
        positives += gather(of_positives + positives, z, ones);
        if (at % sampled == 0) negatives += sampled * size(lanes_above(z, -clip.top) & static_cast<LaneSet>(~ones));
    }
    store(of_positives + positives, infinity<V>());  // which have no loss
    const bool few = 2 * negatives < count;
    if (few) {
        negatives = 0;
        for (int i = 0, at = 0; i < count; i += N, ++at) {
            const V z = load(z_at + i);
            negative_lanes[at] = lanes_above(z, -clip.top) & static_cast<LaneSet>(~positive_lanes[at]);
            negatives += gather(of_negatives + negatives, z, negative_lanes[at]);
        }
        store(of_negatives + negatives, constant<V>(-clip.top));
    } else {
        negatives = count;
    }
    LossSum sum = total;
    for (int i = 0; i < positives; i += N) {
        const Slopes<V> f =
            one_side<order>(probabilities(load(of_positives + i)), sides.positive, sides.whole_positive);
        sum.add(V(positive * f.loss));
        if constexpr (order > 0) store(of_positives + i, V(positive * scale * f.d1));
    }
    const T* from = few ? of_negatives : z_at;
    for (int i = 0; i < negatives; i += N) {
        const ExpAndLess<V> e = from_edge(maximum(constant<V>(-clip.top), load(from + i)), clip);
        prefetch(z_at + i + Elements<T>::most);  // of the next block
        store(of_negatives + i, e.exp), store(v_at + i, e.less_one);
    }
    for (int i = 0; i < negatives; i += N) {
        const BeyondMargin<V> at = beyond_margin<V>({load(of_negatives + i), load(v_at + i)}, clip, negative * scale);
        prefetch(y_at + i + Elements<T>::most);
        store(of_negatives + i, at.u), store(v_at + i, at.v), store(pq_at + i, at.pq);
    }
    V part{};
    const T *next_positive = of_positives, *next_negative = of_negatives;
    for (int i = 0, at = 0; i < negatives; i += N, ++at) {
        const BeyondMargin<V> beyond = {load(v_at + i), load(of_negatives + i), load(pq_at + i), V{}};
        const Slopes<V> f = clipped<order>(beyond, sides.negative, whole_negative);
        const V grad = -f.d1;
        if (few) {
            part = part + f.loss;
            if constexpr (order > 0) store(of_negatives + i, grad);
        } else {
            part = add_outside(part, f.loss, positive_lanes[at], load(y_at + i));
            if constexpr (order > 0) {
                const V both = scatter(next_positive, positive_lanes[at], grad);
                if (streamed) stream(grad_at + i, both);
                else store(grad_at + i, both);
            }
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
