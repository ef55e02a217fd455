#include "mining.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>
#include <vector>

#include "threads.hpp"

namespace focalkit {
namespace {

constexpr int digit_bits = 11, digits = 1 << digit_bits;
using Histogram = std::array<std::int64_t, digits>;

/// Unsigned integers in the order of the numbers, NaN above all.
template <class T>
auto key_of(T loss) {
    using U = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    constexpr U sign = U(1) << (8 * sizeof(U) - 1);
    if (loss != loss) return ~U(0);
    loss += T(0);  // -0 is 0
    U u;
    std::memcpy(&u, &loss, sizeof u);
    return u & sign ? U(~u) : U(u | sign);
}

/// More losses than places. The least key that is taken is found digit by digit from the highest on: a histogram tells
/// in which digit the last place falls, and only keys that begin alike are counted again.
template <class T>
class Choice {
    using U = decltype(key_of(T()));

public:
    Choice(const T* losses, const std::uint8_t* among, std::int64_t n, std::int64_t places, std::uint8_t* keep)
        : losses_(losses), among_(among), n_(n), places_(places), keep_(keep) {
        piece_ = std::max<std::int64_t>(1 << 16, (n + 255) / 256);
        counts_.resize(static_cast<std::size_t>((n + piece_ - 1) / piece_));
    }

    void make() {
        for (int high = 8 * sizeof(U); high > 0; high = shift_) {
            shift_ = std::max(0, high - digit_bits);
            known_ = high == 8 * sizeof(U) ? U(0) : U(~U(0) << high);
            each_piece([](void* self, std::int64_t piece, int) { static_cast<Choice*>(self)->count(piece); });
            narrow();
        }
        each_piece([](void* self, std::int64_t piece, int) { static_cast<Choice*>(self)->take(piece); });
    }

private:
    void each_piece(void (*work)(void*, std::int64_t, int)) {
        const auto pieces = static_cast<std::int64_t>(counts_.size());
        threads::run(pieces, pieces > 1 ? threads::count() : 1, work, this);
    }
    template <class Visit>
    void each_of(std::int64_t piece, Visit visit) const {
        const std::int64_t end = std::min(n_, (piece + 1) * piece_);
        for (std::int64_t i = piece * piece_; i < end; ++i)
            if (!among_ || among_[i]) visit(i, key_of(losses_[i]));
    }
    std::size_t digit(U key) const { return static_cast<std::size_t>((key >> shift_) & U(digits - 1)); }

    void count(std::int64_t piece) {
        Histogram& counts = counts_[static_cast<std::size_t>(piece)];
        counts.fill(0);
        if (known_ != 0) {
            each_of(piece, [&](std::int64_t, U key) {
                if ((key & known_) == least_) ++counts[digit(key)];
            });
        } else {  // neighbours are often alike, and each count would wait for the one before
            Histogram odd{};
            each_of(piece, [&](std::int64_t i, U key) { ++(i % 2 ? odd : counts)[digit(key)]; });
            for (int at = 0; at < digits; ++at)
                counts[static_cast<std::size_t>(at)] += odd[static_cast<std::size_t>(at)];
        }
    }
    /// The next digit of the least key, and how many places are left for keys that begin like it.
    void narrow() {
        for (int at = digits; at-- > 0;) {
            std::int64_t here = 0;
            for (const Histogram& counts : counts_) here += counts[static_cast<std::size_t>(at)];
            if (here >= places_) {
                least_ |= static_cast<U>(at) << shift_;
                return;
            }
            places_ -= here;
        }
    }
    /// All above the least key, and of its equals the first.
    void take(std::int64_t piece) {
        std::int64_t left = places_;
        for (std::int64_t before = 0; before < piece; ++before)
            left -= counts_[static_cast<std::size_t>(before)][digit(least_)];
        each_of(piece, [&](std::int64_t i, U key) {
            keep_[i] |= static_cast<std::uint8_t>(key > least_);
            if (key == least_ && left-- > 0) keep_[i] = 1;
        });
    }

    const T* losses_;
    const std::uint8_t* among_;
    std::int64_t n_, places_, piece_;
    std::uint8_t* keep_;
    std::vector<Histogram> counts_;
    U least_ = 0, known_ = 0;
    int shift_ = 0;
};

}  // namespace

template <class T>
void keep_largest(const T* losses, const std::uint8_t* among, std::int64_t n, std::int64_t count, std::uint8_t* keep) {
    if (count <= 0 || n == 0) return;
    const std::int64_t there = among ? n - std::count(among, among + n, std::uint8_t(0)) : n;
    if (count < there) return Choice<T>(losses, among, n, count, keep).make();
    for (std::int64_t i = 0; i < n; ++i)
        if (!among || among[i]) keep[i] = 1;
}

template void keep_largest(const float*, const std::uint8_t*, std::int64_t, std::int64_t, std::uint8_t*);
template void keep_largest(const double*, const std::uint8_t*, std::int64_t, std::int64_t, std::uint8_t*);

}  // namespace focalkit
