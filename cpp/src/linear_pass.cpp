#include "linear_pass.hpp"

#include <algorithm>

#include "dispatch.hpp"
#include "memory.hpp"
#include "threads.hpp"

namespace focalkit {
namespace {

/// Logits of a tile, at most: it stays in the second cache, and is computed by one thread.
constexpr std::int64_t elements = 1 << 14, fewest_rows = 64, most_rows = 2048;

/// Memory for some numbers of one tile.
template <class T>
class Scratch {
public:
    explicit Scratch(std::int64_t count)
        : data_(static_cast<T*>(
              memory::acquire(sizeof(T) * static_cast<std::size_t>(std::max<std::int64_t>(count, 1))))) {}
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() { memory::release(data_); }
    T* data() { return data_; }

private:
    T* data_;
};

const TileKernels<float>& kernels_of(const float*) { return dispatch::linear().narrow; }
const TileKernels<double>& kernels_of(const double*) { return dispatch::linear().wide; }

template <class T>
void run(const LinearPass& pass, Job job, double alpha_unit) {
    const T* columns = static_cast<const T*>(pass.columns);
    const TileKernels<T>& kernels = kernels_of(columns);
    const std::int64_t classes = job.classes, lanes = Tile<T>::lanes_most;
    const std::int64_t height = std::clamp(elements / classes / lanes * lanes, fewest_rows, most_rows);
    const std::int64_t entries = std::max<std::int64_t>(1, classes * (classes - 1) / 2);
    Scratch<T> theta(pass.n_columns * classes), z(classes * height);
    Scratch<float> hess(pass.curvature ? classes * height : 0), weights(pass.curvature ? entries * height : 0);
    std::copy_n(pass.theta, pass.n_columns * classes, theta.data());
    job.order = pass.curvature ? 2 : pass.grad ? 1 : 0;
    const double* weight = job.sample_weight;
    for (std::int64_t first = 0; first < pass.rows; first += height) {
        const std::int64_t count = std::min(height, pass.rows - first), whole = (count + lanes - 1) / lanes * lanes;
        Tile<T> tile;
        tile.columns = columns + first, tile.n_columns = pass.n_columns, tile.apart = pass.apart;
        tile.rows = whole, tile.height = height;
        kernels.logits(tile, classes, theta.data(), z.data());
        Job part = job;
        part.inner = count;
        const auto place = [&](Array& array, void* data) {
            array.data = data, array.classes = classes == 1 ? 0 : height, array.inner = count == 1 ? 0 : 1;
        };
        place(part.logits, z.data());
        if (part.order > 0) place(part.grad, z.data());
        if (part.order > 1) place(part.hess, hess.data());
        part.targets.data = const_cast<std::int64_t*>(pass.targets + first);
        part.targets.inner = count == 1 ? 0 : 1;
        if (weight) part.sample_weight = weight + first, part.weight_inner = 1;
        if (pass.losses) part.losses = pass.losses + first;
        const Outcome outcome = evaluate(part, pass.losses ? Reduction::none : Reduction::sum, 0, alpha_unit);
        if (pass.loss) *pass.loss += outcome.loss;
        if (!part.order) continue;
        // the gradient of a row falls with the power gamma + 1 of its doubt
        const threads::Flushing flushing(true);
        for (std::int64_t k = 0; k < classes; ++k) {
            std::fill(z.data() + k * height + count, z.data() + k * height + whole, T(0));
            if (pass.curvature) std::fill(hess.data() + k * height + count, hess.data() + k * height + whole, 0.0f);
        }
        if (pass.grad) kernels.pull(tile, classes, z.data(), pass.grad);
        if constexpr (sizeof(T) == sizeof(float))
            if (pass.curvature) {
                const LinearKernels& linear = dispatch::linear();
                linear.curvature(z.data(), hess.data(), classes, height, pass.targets + first, whole, weights.data());
                linear.products(tile, weights.data(), entries, pass.curvature);
            }
    }
}

}  // namespace

void linear_pass(const LinearPass& pass, const Job& job, double alpha_unit) {
    job.type == Type::f64 ? run<double>(pass, job, alpha_unit) : run<float>(pass, job, alpha_unit);
}

}  // namespace focalkit
