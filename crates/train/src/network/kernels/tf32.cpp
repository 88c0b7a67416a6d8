// The switch for TensorFloat-32, which the bindings do not have.

#include <ATen/Context.h>

#include <cmath>

// For the whole process: products and convolutions on NVIDIA GPUs.
extern "C" void tombola_allow_tf32(bool allowed) {
    at::globalContext().setAllowTF32CuBLAS(allowed);
    at::globalContext().setAllowTF32CuDNN(allowed);
}

// Headers of libtorch mention this function of the C library for complex numbers, which nothing here has. Since glibc 2.35 it has
// a new version, so a program that is linked there would not start on a machine with 2.34 (Rocky Linux 9 and its kin).
extern "C" __attribute__((visibility("hidden"))) float tombola_hypotf(float x, float y) __asm__("hypotf");

float tombola_hypotf(float x, float y) {
    return static_cast<float>(std::sqrt(static_cast<double>(x) * x + static_cast<double>(y) * y));
}
