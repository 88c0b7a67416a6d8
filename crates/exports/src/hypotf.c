// A function of the C library that drawing libraries call, and that headers of libtorch mention. Since glibc 2.35 it has a new
// version, so a program that is linked there would not start on a machine with 2.34 (Rocky Linux 9 and its kin). Hidden, so that
// libtorch goes on using its own.

#include <math.h>

__attribute__((visibility("hidden"))) float hypotf(float x, float y) {
    return (float)sqrt((double)x * x + (double)y * y);
}
