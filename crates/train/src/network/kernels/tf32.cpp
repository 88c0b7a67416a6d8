// The switch for TensorFloat-32, which the bindings do not have.

#include <ATen/Context.h>

// For the whole process: products and convolutions on NVIDIA GPUs.
extern "C" void tombola_allow_tf32(bool allowed) {
    at::globalContext().setAllowTF32CuBLAS(allowed);
    at::globalContext().setAllowTF32CuDNN(allowed);
}

// Whether convolutions of float32 numbers may be computed so now, for tests.
extern "C" bool tombola_allows_tf32() {
    return at::globalContext().allowTF32CuDNN();
}
