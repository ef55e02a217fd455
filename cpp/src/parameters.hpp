// The per-class parameters of a spec as the kernels read them, in both types that they compute in.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <utility>
#include <vector>

#include "focalkit/job.hpp"

namespace focalkit {

/// 1, or where the type computed in has no room beside weights as large or small as ``largest`` the power of two that
/// takes them near 1.
inline double unit_of(double largest, bool wide) {
    const int room = wide ? 300 : 40, exponent = largest > 0 ? std::ilogb(largest) : 0;
    return exponent > room || exponent < -room ? std::ldexp(1.0, std::min(-exponent, 1000)) : 1;
}

constexpr double largest_float = std::numeric_limits<float>::max();

/// The nearest float, the largest where ``value`` is beyond.
inline float to_float(double value) { return static_cast<float>(std::min(value, largest_float)); }

/// 0, 1 or 2 where gamma is that for all classes: those need no power function.
constexpr int power_of_any = 3;
inline int power_of(double gamma) { return gamma == 0 ? 0 : gamma == 1 ? 1 : gamma == 2 ? 2 : power_of_any; }

/// Memory that begins with a cache line, which vectors then do not straddle.
template <class T>
struct ByCacheLines {
    using value_type = T;
    static constexpr std::align_val_t line{64};

    ByCacheLines() = default;
    template <class U>
    ByCacheLines(const ByCacheLines<U>&) {}
    T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), line)); }
    void deallocate(T* memory, std::size_t) { ::operator delete(memory, line); }
    bool operator==(const ByCacheLines&) const { return true; }
};

/// The numbers of one parameter: none, one for all classes, or one per class.
class ParameterColumn {
public:
    ParameterColumn() = default;
    explicit ParameterColumn(std::vector<double> values)
        : values_(std::move(values)), wide_(values_.begin(), values_.end()) {
        for (double value : values_) narrow_.push_back(to_float(value));
        // vectors are read to their end in whole registers
        if (values_.size() > 1) wide_.resize(values_.size() + beyond), narrow_.resize(values_.size() + beyond);
    }

    /// Multiplies the numbers by a power of two for each type, such that the largest is within reach of it.
    void rescale() {
        wide_unit_ = unit_of(largest(), true), narrow_unit_ = unit_of(largest(), false);
        for (double& value : wide_) value *= wide_unit_;
        for (std::size_t i = 0; i < values_.size(); ++i) narrow_[i] = to_float(values_[i] * narrow_unit_);
    }
    double largest() const { return values_.empty() ? 0 : *std::max_element(values_.begin(), values_.end()); }
    double unit(bool wide) const { return wide ? wide_unit_ : narrow_unit_; }

    const std::vector<double>& values() const { return values_; }
    bool fits(std::int64_t classes) const {
        return values_.size() <= 1 || static_cast<std::int64_t>(values_.size()) == classes;
    }
    PerClass view(bool wide) const {
        if (wide_.empty()) return {};
        return {wide ? static_cast<const void*>(wide_.data()) : narrow_.data(), values_.size() > 1};
    }

private:
    static constexpr std::size_t beyond = 16;
    std::vector<double> values_;
    std::vector<double, ByCacheLines<double>> wide_;
    std::vector<float, ByCacheLines<float>> narrow_;
    double wide_unit_ = 1, narrow_unit_ = 1;
};

struct ParameterTable {
    ParameterColumn gamma, alpha, alpha_other, adjustment, margin;

    bool fit(std::int64_t classes) const {
        return gamma.fits(classes) && alpha.fits(classes) && adjustment.fits(classes) && margin.fits(classes);
    }
    /// Job::power; what counts is gamma in the type computed in, which may be 0 where the double is not.
    int power(bool wide) const {
        if (gamma.values().size() != 1) return power_of_any;
        return power_of(wide ? gamma.values()[0] : static_cast<double>(to_float(gamma.values()[0])));
    }
    ClassParameters view(bool wide) const {
        return {gamma.view(wide), alpha.view(wide), alpha_other.view(wide), adjustment.view(wide), margin.view(wide)};
    }
};

}  // namespace focalkit
