// A block of text from Python, and its numbers back. The threads that call it are Python's.
#include "text_numbers.hpp"

#include "bindings/arrays.hpp"
#include "bindings/bindings.hpp"

namespace nb = nanobind;

namespace focalkit {
namespace {

nb::object take(const nb::bytes& block, const nb::bytes& is_number, const nb::bytes& marks, Dense<double, 2> out) {
    const auto* mask = reinterpret_cast<const std::uint8_t*>(is_number.c_str());
    const char* mark = marks.c_str();
    const TextShape shape{{mask, mask + is_number.size()}, mark[0], mark[1], mark[2]};
    const std::string_view text(block.c_str(), block.size());
    std::vector<std::int64_t> missing;
    std::string rest;
    bool done;
    {
        const nb::gil_scoped_release released;
        done = take_numbers(text, shape, out.data(), out.shape(1), missing, rest);
    }
    if (!done) return nb::none();
    nb::list counts;
    for (const auto n : missing) counts.append(n);
    return nb::make_tuple(nb::bytes(rest.data(), rest.size()), counts);
}

}  // namespace

void bind_text_numbers(nb::module_& module) { module.def("take_numbers", &take); }

}  // namespace focalkit
