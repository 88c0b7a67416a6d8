// The switches for kernels that add in the same order each time, which the bindings do not have.

#include <ATen/Context.h>

// For the whole process. Memory that is not written yet is not filled: nothing here reads it.
extern "C" void tombola_deterministic(bool wished) {
    at::globalContext().setDeterministicCuDNN(wished);
    at::globalContext().setDeterministicAlgorithms(wished, false);
    at::globalContext().setDeterministicFillUninitializedMemory(false);
}

extern "C" bool tombola_is_deterministic(void) {
    return at::globalContext().deterministicCuDNN() && at::globalContext().deterministicAlgorithms();
}
