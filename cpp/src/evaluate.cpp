#include "evaluate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "denominator.hpp"
#include "dispatch.hpp"
#include "memory.hpp"
#include "threads.hpp"
#include "wide.hpp"

namespace focalkit {
namespace {

constexpr std::int64_t elements_worth_a_thread = 16384;

int threads_for(const Job& job) {
    const std::int64_t elements = job.rows() * job.classes;
    if (elements < 2 * elements_worth_a_thread) return 1;  // also spares asking OpenMP
    return static_cast<int>(std::min<std::int64_t>(threads::count(), elements / elements_worth_a_thread));
}

struct Pass {
    const Job& job;
    ChunkFunction kernel;
    Partial* partials;
    void** scratch;  // one per thread
};

Partial total(const Partial* partials, std::int64_t n) {
    Partial sum;
    for (std::int64_t i = 0; i < n; ++i) {
        sum.loss.add(partials[i].loss);
        sum.weight.add(partials[i].weight);
        sum.counted += partials[i].counted;
        sum.bad_targets += partials[i].bad_targets;
    }
    return sum;
}

class Scratch {
public:
    Scratch(int threads, std::int64_t bytes) : blocks_(static_cast<std::size_t>(threads), nullptr) {
        try {
            for (void*& block : blocks_) block = memory::acquire(static_cast<std::size_t>(bytes));
        } catch (...) {
            free();
            throw;
        }
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() { free(); }
    void** blocks() { return blocks_.data(); }

private:
    void free() noexcept {
        for (void* block : blocks_) memory::release(block);
    }
    std::vector<void*> blocks_;
};

Partial compute(Job& job) {
    const ChunkFunction kernel = dispatch::kernels().plan(job);
    const int n = std::max<int>(1, static_cast<int>(std::min<std::int64_t>(threads_for(job), job.chunks)));
    Scratch scratch(n, job.scratch_bytes);
    std::vector<Partial> partials(static_cast<std::size_t>(job.chunks));
    Pass pass{job, kernel, partials.data(), scratch.blocks()};
    threads::run(
        job.chunks, n,
        [](void* context, std::int64_t piece, int thread) {
            Pass& p = *static_cast<Pass*>(context);
            const threads::Flushing flushing(p.job.logit_scale > 1 && p.job.type != Type::f64);
            p.kernel(p.job, piece, p.scratch[thread], p.partials[piece]);
        },
        &pass);
    return total(partials.data(), job.chunks);
}

struct Counting {
    const Job& job;
    std::int64_t units, per_piece;
    Partial* partials;
};

Partial count(const Job& job) {
    const std::int64_t units = job.units();
    const std::int64_t per_piece = 1 << 16, pieces = (units + per_piece - 1) / per_piece;
    std::vector<Partial> partials(static_cast<std::size_t>(pieces));
    Counting counting{job, units, per_piece, partials.data()};
    threads::run(
        pieces, pieces > 1 ? threads::count() : 1,
        [](void* context, std::int64_t piece, int) {
            Counting& c = *static_cast<Counting*>(context);
            const std::int64_t first = piece * c.per_piece;
            dispatch::kernels().count(c.job, first, std::min(first + c.per_piece, c.units), c.partials[piece]);
        },
        &counting);
    return total(partials.data(), pieces);
}

/// (n,) or (n, n_classes) arrays are one run of rows, whatever the axis was.
void flatten_rows(Job& job) {
    if (job.inner != 1 || job.sigmoid) return;
    job.inner = job.outer;
    job.outer = 1;
    for (Array* array : {&job.logits, &job.grad, &job.hess, &job.targets}) array->inner = array->outer;
    job.weight_inner = job.weight_outer;
}

double or_one(double denominator) { return denominator > 0 ? denominator : 1; }  // a mean over an empty set is 0

/// How many losses hard example mining kept.
double kept(const Job& job) {
    return static_cast<double>(job.units() - std::count(job.keep, job.keep + job.units(), std::uint8_t(0)));
}

/// Divides the losses, and scales the derivatives, by ``denominator`` / ``restore``, which is a power of two.
///
/// One over it may not be a number of the type computed in although the result is: half of its exponent then goes to
/// ``unit``, which multiplies the weights.
void divide_by(Job& job, double denominator, double restore) {
    if (restore == 1 && denominator > 0x1p-60 && denominator < 0x1p60) {
        job.unit = job.restore = 1, job.scale = job.logit_scale / denominator;
        return;
    }
    const int of_denominator = std::ilogb(denominator), of_restore = std::ilogb(restore);
    const int exponent = of_denominator - of_restore;
    const bool wide = job.type == Type::f64;
    const int most = wide ? 500 : 60,
              half = exponent > 60 || exponent < -60 ? std::clamp(exponent / 2, -most, most) : 0;
    const double largest = wide ? std::numeric_limits<double>::max() : std::numeric_limits<float>::max();
    job.unit = std::ldexp(1.0, -half);
    job.scale = std::ldexp(job.logit_scale / std::ldexp(denominator, -of_denominator), half - exponent);
    job.scale = std::min(job.scale, largest);  // so that 0 times it is 0
    job.restore = std::ldexp(1.0, std::clamp(of_restore + half, -1000, 1000));
}

/// Whether derivatives over so small a denominator are beyond float on their way, though they may not be in the end:
/// weights and alphas, each up to 2^40 here, times the scale, and that over a row's sum of exponentials.
bool exceeds_float(const Job& job, double denominator, double restore) {
    if (restore <= denominator * 0x1p39) return false;  // as nearly always, and without a logarithm
    return job.order > 0 && job.type != Type::f64 && std::ilogb(restore) - std::ilogb(denominator) > 40;
}

/// The log-odds where a negative's probability is the margin c: nothing that is subtracted from it there rounds.
void find_edge(Job& job) {
    if (job.form != Form::asymmetric || !(job.form_number > 0)) return;
    const long double c = job.form_number, edge = std::log((1 - c) / c);
    job.form_edge = static_cast<double>(edge);
    job.form_edge_low = static_cast<double>(edge - job.form_edge);
}

/// The sum of the losses once more, where it overflowed: in units so large that only a loss that is infinite does.
double sum_in_units(Job job, double unit) {
    job.order = 0, job.losses = nullptr, job.unit *= unit;
    return compute(job).loss.value();
}

}  // namespace

// Weights may be of any size that a double has, the kernels compute in float. So sample weights and alpha come with
// powers of two (job.weight_unit, alpha_unit) that take them near 1 where they would leave float's range; a weighted
// mean does not know the difference, and everything else is multiplied by ``restore`` at the end. Multiplying by powers
// of two rounds nothing.
Outcome evaluate(Job job, Reduction reduction, double normalizer, double alpha_unit) {
    if (job.units() == 0) return {};
    flatten_rows(job);
    find_edge(job);
    const Denominator kind = denominator_of(job, reduction, normalizer);
    job.weigh = kind == Denominator::weights;
    double restore = job.weigh ? 1 : 1 / (job.weight_unit * alpha_unit), denominator = 1;
    Partial ids;
    if (validates_first(job)) {
        ids = count(job);
        if (ids.bad_targets) return {0, true};
    }
    switch (kind) {
        case Denominator::given: denominator = normalizer; break;
        case Denominator::one: break;
        case Denominator::counted_now:
            denominator = job.keep               ? kept(job)
                          : validates_first(job) ? static_cast<double>(ids.counted)
                                                 : static_cast<double>(job.units());
            break;
        case Denominator::counted_after: denominator = static_cast<double>(job.units()); break;
        case Denominator::weights:
            if (job.order > 0) {
                Job forward = job;
                forward.order = 0, forward.losses = nullptr;
                const Partial sums = compute(forward);
                if (sums.bad_targets && !job.trusted) return {0, true};
                denominator = sums.weight.value();
            }
    }
    denominator = or_one(denominator);
    if (exceeds_float(job, denominator, restore)) {
        Wide wide(job);
        const Outcome outcome = evaluate(wide.job, reduction, normalizer, alpha_unit);
        if (!outcome.bad_targets) wide.write_back();
        return outcome;
    }
    divide_by(job, denominator, restore);
    Partial sums = compute(job);
    if (sums.bad_targets && !job.trusted) return {0, true};
    if (kind == Denominator::counted_after) {
        const double counted = or_one(static_cast<double>(sums.counted));
        if (job.order > 0 && counted != denominator) {
            divide_by(job, counted, restore);
            sums = compute(job);
        }
        denominator = counted;
    } else if (kind == Denominator::weights && job.order == 0) {
        denominator = or_one(sums.weight.value() / job.unit);
    }
    double loss = sums.loss.value(), unit = 1;
    if (std::isinf(loss) && reduction != Reduction::none && !overwrites_logits(job)) {
        unit = 0x1p-100;
        loss = sum_in_units(job, unit);
    }
    loss = job.restore < 1 ? loss * job.restore / denominator : loss / denominator * job.restore;
    return {loss / unit, false};
}

}  // namespace focalkit
