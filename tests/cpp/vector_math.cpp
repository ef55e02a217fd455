// Prints the largest error of exp, log, log1p, that of [0, 1] and that of more, and of q^gamma over 1 + gamma, in units
// in the last place, against long double; and whether NaN, infinities, zero and the ends of the range come out right.
// Built once per instruction set by test_cpp.py.
#include <cmath>
#include <cstdio>
#include <initializer_list>
#include <limits>

#include "focalkit/math/definition.hpp"

using namespace focalkit::FOCALKIT_ISA;

namespace {

template <class T>
double ulps(T got, long double want) {
    const int digits = std::numeric_limits<T>::digits, least = std::numeric_limits<T>::min_exponent;
    const int exponent = want == 0 ? least : std::ilogb(want) + 1;
    return std::fabs(
        static_cast<double>((got - want) / std::ldexp(1.0L, (exponent < least ? least : exponent) - digits)));
}

/// The largest error over ``count`` arguments from ``first`` on, each ``next`` of the one before.
template <class T, class Function, class Truth, class Next>
double worst(T first, int count, Next next, Function function, Truth truth) {
    constexpr int N = width<T>;
    double most = 0;
    T x = first, lanes[N], got[N];
    for (int done = 0; done < count; done += N) {
        for (int i = 0; i < N; ++i) lanes[i] = x, x = next(x);
        store(got, Vec<T>(function(load(lanes))));
        for (int i = 0; i < N; ++i) most = std::fmax(most, ulps(got[i], truth(static_cast<long double>(lanes[i]))));
    }
    return most;
}

template <class T>
T one(Vec<T> v) {
    T lanes[width<T>];
    store(lanes, v);
    return lanes[width<T> - 1];
}

template <class T>
int broken() {
    using V = Vec<T>;
    const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
    const auto exp = [](T x) { return one<T>(exp_nonpositive<V>(constant<V>(x))); };
    const auto log = [](T x) { return one<T>(log_nonnegative<V>(constant<V>(x))); };
    const auto log1p = [](T x) { return one<T>(log1p_unit<V>(constant<V>(x))); };
    const T tiny = std::numeric_limits<T>::denorm_min();
    int wrong = 0;
    wrong += exp(T(0)) != 1 || exp(-inf) != 0 || exp(T(-1e30)) != 0 || exp(nan) == exp(nan);
    wrong += log(T(1)) != 0 || log(T(0)) != -inf || log(nan) == log(nan);
    wrong += std::fabs(log(tiny) - std::log(tiny)) > 1e-4;
    const auto more = [](T w) { return one<T>(log1p_nonnegative(constant<V>(w))); };
    wrong += more(T(0)) != 0 || more(tiny) != tiny;
    wrong += log1p(T(0)) != 0 || log1p(tiny) != tiny || log1p(nan) == log1p(nan);
    return wrong;
}

template <class T>
void report(const char* name, int count) {
    const T lowest = sizeof(T) == 4 ? T(-87) : T(-708);
    const T step = lowest / static_cast<T>(count);
    const double e = worst<T>(
        0, count, [=](T x) { return x + step; }, [](Vec<T> v) { return exp_nonpositive<Vec<T>>(v); },
        [](long double x) { return std::exp(x); });
    const T grow = T(1) + (sizeof(T) == 4 ? T(160) : T(1400)) / static_cast<T>(count);
    const double l = worst<T>(
        std::numeric_limits<T>::min(), count, [=](T x) { return x * grow; },
        [](Vec<T> v) { return log_nonnegative<Vec<T>>(v); }, [](long double x) { return std::log(x); });
    const double near = worst<T>(
        T(0.5), count, [=](T x) { return x + T(1.5) / static_cast<T>(count); },
        [](Vec<T> v) { return log_nonnegative<Vec<T>>(v); }, [](long double x) { return std::log(x); });
    const double p = worst<T>(
        1, count, [=](T x) { return x * (T(1) - T(30) / static_cast<T>(count)); },
        [](Vec<T> v) { return log1p_unit<Vec<T>>(v); }, [](long double x) { return std::log1p(x); });
    const double r = worst<T>(
        T(1000), count, [=](T x) { return x * (T(1) - T(30) / static_cast<T>(count)); },
        [](Vec<T> w) { return log1p_nonnegative(w); }, [](long double x) { return std::log1p(x); });
    double q = 0;
    for (const T gamma : {T(0.25), T(1.7), T(3), T(5)}) {
        const T last = -lowest / gamma, first = T(-20), pace = (last - first) / static_cast<T>(count);
        const double error = worst<T>(
            first, count, [=](T m) { return m + pace; },
            [=](Vec<T> m) { return modulation<Power::any>(probabilities(m), constant<Vec<T>>(gamma)); },
            [=](long double m) {
                return std::exp(-gamma * (m > 0 ? m + std::log1p(std::exp(-m)) : std::log1p(std::exp(m))));
            });
        q = std::fmax(q, error / static_cast<double>(1 + gamma));
    }
    std::printf("%s exp %.3f log %.3f log_near_one %.3f log1p %.3f more %.3f power %.3f broken %d\n", name, e, l, near,
                p, r, q, broken<T>());
}

}  // namespace

int main() {
    report<float>("float", 400000);
    report<double>("double", 400000);
}
