#include "linear_pass.hpp"

#include <algorithm>

#include "dispatch.hpp"
#include "memory.hpp"
#include "threads.hpp"

namespace focalkit {
namespace {

/// Logits of a tile, at most, and its features: it stays in the second cache, and is computed by one thread.
constexpr std::int64_t elements = 1 << 14, features = 1 << 17, fewest_rows = 64, most_rows = 2048;

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

/// Entries of the curvature of a row in its logits, see LinearKernels.
std::int64_t entries_of(std::int64_t classes) { return std::max<std::int64_t>(1, classes * (classes - 1) / 2); }

const TileKernels<float>& kernels_of(const float*) { return dispatch::linear().narrow; }
const TileKernels<double>& kernels_of(const double*) { return dispatch::linear().wide; }

/// What a tile is computed in.
template <class T>
struct Room {
    std::int64_t height;
    Scratch<T> z, losses;
    Scratch<float> hess, weights;

    Room(std::int64_t rows, std::int64_t classes, std::int64_t entries)
        : height(rows), z(classes * rows), losses(rows), hess(entries ? classes * rows : 0), weights(entries * rows) {}
};

template <class T>
void add(const LinearRows& rows, const Tile<T>& tile, std::int64_t first, const LinearModel& model, const T* theta,
         Room<T>& room) {
    const TileKernels<T>& kernels = kernels_of(tile.columns);
    const std::int64_t classes = model.job.classes, count = std::min(room.height, rows.rows - first);
    T* z = room.z.data();
    kernels.logits(tile, classes, theta, z);
    Job part = model.job;
    part.order = model.curvature ? 2 : model.grad ? 1 : 0;
    part.inner = count;
    const auto place = [&](Array& array, void* data) {
        array.data = data, array.classes = classes == 1 ? 0 : room.height, array.inner = count == 1 ? 0 : 1;
    };
    place(part.logits, z);
    if (part.order > 0) place(part.grad, z);
    if (part.order > 1) place(part.hess, room.hess.data());
    part.targets.data = const_cast<std::int64_t*>(rows.targets + first);
    part.targets.inner = count == 1 ? 0 : 1;
    if (part.sample_weight) part.sample_weight += first, part.weight_inner = 1;
    if (model.losses) part.losses = room.losses.data();
    const Outcome outcome = evaluate(part, model.losses ? Reduction::none : Reduction::sum, 0, model.alpha_unit);
    if (model.losses) std::copy_n(room.losses.data(), count, model.losses + first);
    if (model.loss) *model.loss += outcome.loss;
    if (!part.order) return;
    // the gradient of a row falls with the power gamma + 1 of its doubt
    const threads::Flushing flushing(true);
    for (std::int64_t k = 0; k < classes; ++k) {
        const std::int64_t end = k * room.height + count;
        std::fill_n(z + end, tile.rows - count, T(0));
        if (model.curvature) std::fill_n(room.hess.data() + end, tile.rows - count, 0.0f);
    }
    if (model.grad) kernels.pull(tile, classes, z, model.grad);
    if constexpr (sizeof(T) == sizeof(float))
        if (model.curvature) {
            const LinearKernels& linear = dispatch::linear();
            float* weights = room.weights.data();
            linear.curvature(z, room.hess.data(), classes, room.height, rows.targets + first, tile.rows, weights);
            linear.products(tile, weights, entries_of(classes), model.curvature);
        }
}

template <class T>
void run(const LinearRows& rows, const std::vector<LinearModel>& models) {
    const std::int64_t classes = models[0].job.classes, lanes = Tile<T>::lanes_most;
    const std::int64_t fit =
        std::min(elements / classes, features / std::max<std::int64_t>(rows.n_columns, 1)) / lanes * lanes;
    const std::int64_t height = std::clamp(fit, fewest_rows, most_rows), size = rows.n_columns * classes;
    Room<T> room(height, classes, models[0].curvature ? entries_of(classes) : 0);
    Scratch<T> theta(static_cast<std::int64_t>(models.size()) * size);
    T* of_model = theta.data();
    for (const LinearModel& model : models) of_model = std::copy_n(model.theta, size, of_model);
    for (std::int64_t first = 0; first < rows.rows; first += height) {
        Tile<T> tile;
        tile.columns = static_cast<const T*>(rows.columns) + first;
        tile.n_columns = rows.n_columns, tile.apart = rows.apart, tile.height = height;
        tile.rows = (std::min(height, rows.rows - first) + lanes - 1) / lanes * lanes;
        of_model = theta.data();
        for (const LinearModel& model : models) add(rows, tile, first, model, of_model, room), of_model += size;
    }
}

}  // namespace

void linear_pass(const LinearRows& rows, const std::vector<LinearModel>& models) {
    if (!rows.rows || models.empty()) return;
    models[0].job.type == Type::f64 ? run<double>(rows, models) : run<float>(rows, models);
}

}  // namespace focalkit
