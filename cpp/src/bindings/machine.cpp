// Instruction sets, threads and memory.
#include <nanobind/nanobind.h>

#include "bindings/bindings.hpp"
#include "dispatch.hpp"
#include "memory.hpp"
#include "threads.hpp"

namespace nb = nanobind;

namespace focalkit {
namespace {

/// Recycled memory that Python sees through the buffer protocol.
struct Block {
    explicit Block(std::size_t bytes) : bytes(bytes), data(memory::acquire(bytes)) {}
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;
    ~Block() { memory::release(data); }
    std::size_t bytes;
    void* data;
};

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
    Block* block = nb::inst_ptr<Block>(self);
    return PyBuffer_FillInfo(view, self, block->data, static_cast<Py_ssize_t>(block->bytes), 0, flags);
}

PyType_Slot block_slots[] = {{Py_bf_getbuffer, reinterpret_cast<void*>(get_buffer)}, {0, nullptr}};

}  // namespace

void bind_machine(nb::module_& module) {
    nb::class_<Block>(module, "Block", nb::type_slots(block_slots)).def(nb::init<std::size_t>());
    module.def("instruction_set", [] { return dispatch::kernels().name; });
    module.def("choose_instruction_set", &dispatch::choose);
    module.def("has_instruction_set", &dispatch::available);
    module.def("threads", &threads::count);
    module.def("set_threads", &threads::set_limit);
    module.def("held_memory", &memory::held);
    module.def("release_memory", &memory::release_held);
    module.def("memory_limit", &memory::limit);
    module.def("set_memory_limit", &memory::set_limit);
}

}  // namespace focalkit
