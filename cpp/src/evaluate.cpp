#include "evaluate.hpp"

#include <algorithm>
#include <vector>

#include "dispatch.hpp"
#include "memory.hpp"
#include "threads.hpp"

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
    const std::int64_t units = job.sigmoid ? job.rows() * job.classes : job.rows();
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

bool in_place(const Job& job) { return job.order > 0 && job.grad.data == job.logits.data; }

double or_one(double denominator) { return denominator > 0 ? denominator : 1; }  // a mean over nothing is 0

}  // namespace

Outcome evaluate(Job job, Reduction reduction, double normalizer) {
    const std::int64_t units = job.sigmoid ? job.rows() * job.classes : job.rows();
    if (units == 0) return {};
    flatten_rows(job);
    const bool own_denominator = !(normalizer > 0);
    job.weigh = reduction == Reduction::weighted_mean;
    double denominator = 1;
    bool guessed = false;
    if (job.order > 0 && !job.soft && (!job.sigmoid || in_place(job))) {  // look before anything is written over
        const Partial ids = count(job);
        if (ids.bad_targets) return {0, true};
        denominator = or_one(static_cast<double>(ids.counted));
    } else if (job.order > 0 && reduction == Reduction::mean && own_denominator) {
        denominator = static_cast<double>(units);
        guessed = !job.soft;  // that nothing is ignored: 0/1 targets are as many as the logits
    }
    if (job.order > 0 && reduction == Reduction::mean && own_denominator && job.keep) {
        denominator = or_one(static_cast<double>(units - std::count(job.keep, job.keep + units, std::uint8_t(0))));
        guessed = false;
    }
    if (job.order > 0 && own_denominator && reduction == Reduction::weighted_mean) {
        Job forward = job;
        forward.order = 0, forward.losses = nullptr;
        const Partial sums = compute(forward);
        if (sums.bad_targets && !job.trusted) return {0, true};
        denominator = or_one(sums.weight.value());
    }
    if (!own_denominator) denominator = normalizer;
    else if (reduction == Reduction::none || reduction == Reduction::sum) denominator = 1;
    job.scale = 1 / denominator;
    Partial sums = compute(job);
    if (sums.bad_targets && !job.trusted) return {0, true};
    if (reduction == Reduction::mean && own_denominator) {
        const double counted = or_one(static_cast<double>(sums.counted));
        if (guessed && counted != denominator) {
            job.scale = 1 / counted;
            sums = compute(job);
        }
        denominator = counted;
    } else if (reduction == Reduction::weighted_mean) {
        denominator = or_one(sums.weight.value());
    }
    return {sums.loss.value() / denominator, false};
}

}  // namespace focalkit
