// Batch norm, the addition of a shortcut and ReLU in one pass each way, for images in channels-last memory on one thread of a CPU.
//
// libtorch reads and writes a tensor for each of the three operations, forward and backward; on a CPU that is a quarter of a
// training step of a ResNet. The formulas are PyTorch's (torch.nn.BatchNorm2d, eps inside the root, biased variance for
// the output and unbiased for the running one); sums are taken in float over short blocks and added up in double.
//
// It knows tensors and nothing of networks. `src/network/fused.rs` calls it, and falls back to libtorch where it returns null.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EACH_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EACH_PROCESSOR
#endif
#define INLINE static inline __attribute__((always_inline))

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Rows of which sums are kept in float.
constexpr int64_t BLOCK = 64;
// Short rows are taken several at a time, so that vectors are full.
constexpr int64_t WIDTH = 256;

// How values of a tensor are read and written.
struct Float32 {
    using Value = float;
    INLINE float read(Value value) { return value; }
    INLINE Value write(float value) { return value; }
};

struct BFloat16 {
    using Value = uint16_t;
    INLINE float read(Value value) {
        uint32_t bits = static_cast<uint32_t>(value) << 16;
        float result;
        std::memcpy(&result, &bits, sizeof result);
        return result;
    }
    // To the nearest, of two equally near ones to the even one. What is not a number stays none.
    INLINE Value write(float value) {
        uint32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
        return static_cast<Value>(value == value ? rounded : 0x7fc0);
    }
};

// ---- Loops over [rows, width] --------------------------------------------------------------------------------------

// Adds to `sums` and `squares` those of (x - shift).
template <class Kind>
INLINE void add_moments(const typename Kind::Value* __restrict x, int64_t rows, int64_t width, const float* __restrict shift,
                        float* __restrict sums, float* __restrict squares) {
    for (int64_t row = 0; row < rows; ++row) {
        const typename Kind::Value* __restrict values = x + row * width;
        for (int64_t at = 0; at < width; ++at) {
            float value = Kind::read(values[at]) - shift[at];
            sums[at] += value;
            squares[at] += value * value;
        }
    }
}

// The same of x + other, which takes the place of x.
template <class Kind>
INLINE void add_sum_moments(typename Kind::Value* __restrict x, const typename Kind::Value* __restrict other, int64_t rows,
                            int64_t width, const float* __restrict shift, float* __restrict sums, float* __restrict squares) {
    for (int64_t row = 0; row < rows; ++row) {
        int64_t start = row * width;
        for (int64_t at = 0; at < width; ++at) {
            typename Kind::Value sum = Kind::write(Kind::read(x[start + at]) + Kind::read(other[start + at]));
            x[start + at] = sum;
            float value = Kind::read(sum) - shift[at];
            sums[at] += value;
            squares[at] += value * value;
        }
    }
}

// y = max(0, x * scale + offset + residual).
template <class Kind, bool WITH_RESIDUAL>
INLINE void apply(const typename Kind::Value* __restrict x, const typename Kind::Value* __restrict residual,
                  typename Kind::Value* __restrict y, int64_t rows, int64_t width, const float* __restrict scale,
                  const float* __restrict offset) {
    for (int64_t row = 0; row < rows; ++row) {
        int64_t start = row * width;
        for (int64_t at = 0; at < width; ++at) {
            float value = Kind::read(x[start + at]) * scale[at] + offset[at];
            if (WITH_RESIDUAL) value += Kind::read(residual[start + at]);
            // Not std::max: what is not a number must stay none.
            y[start + at] = Kind::write(value < 0 ? 0.0f : value);
        }
    }
}

// What came through ReLU, and its sums: g = dy where y > 0, dy + other where y had two readers. With a residual, g is
// written, since the residual gets it.
template <class Kind, bool WITH_RESIDUAL, bool WITH_OTHER>
INLINE void add_gradients(const typename Kind::Value* __restrict x, const typename Kind::Value* __restrict y,
                          const typename Kind::Value* __restrict dy, const typename Kind::Value* __restrict other,
                          typename Kind::Value* __restrict g, int64_t rows, int64_t width, const float* __restrict scale,
                          const float* __restrict offset, const float* __restrict mean, float* __restrict sums,
                          float* __restrict products) {
    for (int64_t row = 0; row < rows; ++row) {
        int64_t start = row * width;
        for (int64_t at = 0; at < width; ++at) {
            float value = Kind::read(x[start + at]);
            float out = WITH_RESIDUAL ? Kind::read(y[start + at]) : value * scale[at] + offset[at];
            float up = Kind::read(dy[start + at]);
            if (WITH_OTHER) up += Kind::read(other[start + at]);
            float gradient = out > 0 ? up : 0.0f;
            if (WITH_RESIDUAL) g[start + at] = Kind::write(gradient);
            sums[at] += gradient;
            products[at] += gradient * (value - mean[at]);
        }
    }
}

// dx = scale * (g - constant - (x - mean) * slope), + other where x had another reader.
template <class Kind, bool WITH_RESIDUAL, bool WITH_OTHER>
INLINE void apply_gradients(const typename Kind::Value* __restrict x, const typename Kind::Value* __restrict g,
                            const typename Kind::Value* __restrict other, typename Kind::Value* __restrict dx, int64_t rows,
                            int64_t width, const float* __restrict scale, const float* __restrict offset,
                            const float* __restrict mean, const float* __restrict constant, const float* __restrict slope) {
    for (int64_t row = 0; row < rows; ++row) {
        int64_t start = row * width;
        for (int64_t at = 0; at < width; ++at) {
            float value = Kind::read(x[start + at]);
            float gradient = Kind::read(g[start + at]);
            if (!WITH_RESIDUAL) gradient = value * scale[at] + offset[at] > 0 ? gradient : 0.0f;
            float down = scale[at] * (gradient - constant[at] - (value - mean[at]) * slope[at]);
            if (WITH_OTHER) down += Kind::read(other[start + at]);
            dx[start + at] = Kind::write(down);
        }
    }
}

#define LOOPS(NAME, KIND)                                                                                                      \
    struct NAME {                                                                                                              \
        using Value = KIND::Value;                                                                                             \
        FOR_EACH_PROCESSOR static void moments(const Value* x, int64_t rows, int64_t width, const float* shift, float* sums,   \
                                               float* squares) {                                                               \
            add_moments<KIND>(x, rows, width, shift, sums, squares);                                                           \
        }                                                                                                                      \
        FOR_EACH_PROCESSOR static void sum_moments(Value* x, const Value* other, int64_t rows, int64_t width,                  \
                                                   const float* shift, float* sums, float* squares) {                          \
            add_sum_moments<KIND>(x, other, rows, width, shift, sums, squares);                                                \
        }                                                                                                                      \
        FOR_EACH_PROCESSOR static void forward(const Value* x, Value* y, int64_t rows, int64_t width, const float* scale,      \
                                               const float* offset) {                                                          \
            apply<KIND, false>(x, nullptr, y, rows, width, scale, offset);                                                     \
        }                                                                                                                      \
        FOR_EACH_PROCESSOR static void forward_residual(const Value* x, const Value* residual, Value* y, int64_t rows,         \
                                                        int64_t width, const float* scale, const float* offset) {              \
            apply<KIND, true>(x, residual, y, rows, width, scale, offset);                                                     \
        }                                                                                                                      \
        FOR_EACH_PROCESSOR static void gradients(const Value* x, const Value* dy, int64_t rows, int64_t width,                 \
                                                 const float* scale, const float* offset, const float* mean, float* sums,      \
                                                 float* products) {                                                            \
            add_gradients<KIND, false, false>(x, nullptr, dy, nullptr, nullptr, rows, width, scale, offset, mean, sums, products); \
        }                                                                                                                      \
        FOR_EACH_PROCESSOR static void gradients_residual(const Value* x, const Value* y, const Value* dy, Value* g,           \
                                                          int64_t rows, int64_t width, const float* scale,                     \
                                                          const float* offset, const float* mean, float* sums,                 \
                                                          float* products) {                                                   \
            add_gradients<KIND, true, false>(x, y, dy, nullptr, g, rows, width, scale, offset, mean, sums, products);          \
        }                                                                                                                      \
        FOR_EACH_PROCESSOR static void gradients_residual_other(const Value* x, const Value* y, const Value* dy,               \
                                                                const Value* other, Value* g, int64_t rows, int64_t width,     \
                                                                const float* scale, const float* offset, const float* mean,    \
                                                                float* sums, float* products) {                                \
            add_gradients<KIND, true, true>(x, y, dy, other, g, rows, width, scale, offset, mean, sums, products);             \
        }                                                                                                                      \
        FOR_EACH_PROCESSOR static void backward(const Value* x, const Value* g, Value* dx, int64_t rows, int64_t width,        \
                                                const float* scale, const float* offset, const float* mean,                    \
                                                const float* constant, const float* slope) {                                   \
            apply_gradients<KIND, false, false>(x, g, nullptr, dx, rows, width, scale, offset, mean, constant, slope);         \
        }                                                                                                                      \
        FOR_EACH_PROCESSOR static void backward_other(const Value* x, const Value* g, const Value* other, Value* dx,           \
                                                      int64_t rows, int64_t width, const float* scale, const float* offset,    \
                                                      const float* mean, const float* constant, const float* slope) {          \
            apply_gradients<KIND, false, true>(x, g, other, dx, rows, width, scale, offset, mean, constant, slope);            \
        }                                                                                                                      \
        FOR_EACH_PROCESSOR static void backward_residual(const Value* x, const Value* g, Value* dx, int64_t rows,              \
                                                         int64_t width, const float* scale, const float* offset,               \
                                                         const float* mean, const float* constant, const float* slope) {       \
            apply_gradients<KIND, true, false>(x, g, nullptr, dx, rows, width, scale, offset, mean, constant, slope);          \
        }                                                                                                                      \
    };

LOOPS(Float32Loops, Float32)
LOOPS(BFloat16Loops, BFloat16)
#undef LOOPS

// ---- Batch norm ----------------------------------------------------------------------------------------------------

// A tensor as rows of channels, several pixels a row.
struct Rows {
    int64_t pixels, channels, repeats;

    explicit Rows(const Tensor& x) : channels(x.size(1)), repeats(1) {
        pixels = x.numel() / std::max<int64_t>(channels, 1);
        while (repeats * channels < WIDTH && pixels % (2 * repeats) == 0) repeats *= 2;
    }
    int64_t count() const { return pixels / repeats; }
    int64_t width() const { return channels * repeats; }

    // One value a channel, repeated for each pixel of a row.
    std::vector<float> spread(const std::vector<float>& values) const {
        std::vector<float> wide;
        wide.reserve(width());
        for (int64_t repeat = 0; repeat < repeats; ++repeat) wide.insert(wide.end(), values.begin(), values.end());
        return wide;
    }

    // Calls `add(first row, rows, one, other)` for each block, and gives the sums of both over all pixels of each channel.
    template <class Add>
    void reduce(Add add, std::vector<double>& one, std::vector<double>& other) const {
        std::vector<float> block_one(width()), block_other(width());
        one.assign(channels, 0);
        other.assign(channels, 0);
        for (int64_t row = 0; row < count(); row += BLOCK) {
            std::fill(block_one.begin(), block_one.end(), 0.0f);
            std::fill(block_other.begin(), block_other.end(), 0.0f);
            add(row, std::min(BLOCK, count() - row), block_one.data(), block_other.data());
            for (int64_t pixel = 0; pixel < width(); pixel += channels) {
                for (int64_t channel = 0; channel < channels; ++channel) {
                    one[channel] += block_one[pixel + channel];
                    other[channel] += block_other[pixel + channel];
                }
            }
        }
    }
};

std::vector<float> floats(const Tensor& tensor) {
    const float* values = tensor.const_data_ptr<float>();
    return std::vector<float>(values, values + tensor.numel());
}

Tensor of(const std::vector<float>& values) {
    Tensor tensor = at::empty({static_cast<int64_t>(values.size())}, at::kFloat);
    std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<float>());
    return tensor;
}

// What the forward pass found for each channel.
struct Channels {
    std::vector<float> scale, offset, mean, deviation;
};

// What the batch says, and the running statistics moved by it. With `added`, x becomes its sum with that first.
template <class Loops>
Channels trained(const Tensor& x, const Tensor& added, const Tensor& weight, const Tensor& bias, Tensor& running_mean, Tensor& running_variance,
                 double momentum, double epsilon) {
    using Value = typename Loops::Value;
    Rows rows(x);
    Value* values = static_cast<Value*>(x.data_ptr());
    const Value* others = added.defined() ? static_cast<const Value*>(added.const_data_ptr()) : nullptr;
    // Shifted by the running mean, sums of squares lose nothing where the mean is far from 0.
    std::vector<float> shift = floats(running_mean), wide = rows.spread(shift);
    std::vector<double> sums, squares;
    rows.reduce([&](int64_t row, int64_t count, float* one, float* other) {
        int64_t start = row * rows.width();
        if (others != nullptr) {
            Loops::sum_moments(values + start, others + start, count, rows.width(), wide.data(), one, other);
        } else {
            Loops::moments(values + start, count, rows.width(), wide.data(), one, other);
        }
    }, sums, squares);
    Channels found;
    const float *gamma = weight.const_data_ptr<float>(), *beta = bias.const_data_ptr<float>();
    float *mean_out = running_mean.mutable_data_ptr<float>(), *variance_out = running_variance.mutable_data_ptr<float>();
    double count = static_cast<double>(rows.pixels);
    for (int64_t channel = 0; channel < rows.channels; ++channel) {
        double shifted = sums[channel] / count, mean = shifted + shift[channel];
        double variance = std::max(0.0, squares[channel] / count - shifted * shifted);
        if (std::isnan(sums[channel])) variance = sums[channel];
        double inverse = 1.0 / std::sqrt(variance + epsilon);
        found.scale.push_back(static_cast<float>(gamma[channel] * inverse));
        found.offset.push_back(static_cast<float>(beta[channel] - mean * gamma[channel] * inverse));
        found.mean.push_back(static_cast<float>(mean));
        found.deviation.push_back(static_cast<float>(inverse));
        mean_out[channel] = static_cast<float>((1 - momentum) * mean_out[channel] + momentum * mean);
        double unbiased = variance * count / std::max(1.0, count - 1);
        variance_out[channel] = static_cast<float>((1 - momentum) * variance_out[channel] + momentum * unbiased);
    }
    return found;
}

Channels evaluated(const Tensor& weight, const Tensor& bias, const Tensor& running_mean, const Tensor& running_variance,
                   double epsilon) {
    std::vector<float> gamma = floats(weight), beta = floats(bias), mean = floats(running_mean),
                       variance = floats(running_variance);
    Channels found;
    for (size_t channel = 0; channel < gamma.size(); ++channel) {
        double scale = gamma[channel] / std::sqrt(variance[channel] + epsilon);
        found.scale.push_back(static_cast<float>(scale));
        found.offset.push_back(static_cast<float>(beta[channel] - mean[channel] * scale));
    }
    return found;
}

template <class Loops>
Tensor applied(const Tensor& x, const Tensor& residual, const Channels& channels) {
    using Value = typename Loops::Value;
    Rows rows(x);
    Tensor y = at::empty_like(x);
    std::vector<float> scale = rows.spread(channels.scale), offset = rows.spread(channels.offset);
    const Value* from = static_cast<const Value*>(x.const_data_ptr());
    Value* to = static_cast<Value*>(y.mutable_data_ptr());
    if (residual.defined()) {
        const Value* other = static_cast<const Value*>(residual.const_data_ptr());
        Loops::forward_residual(from, other, to, rows.count(), rows.width(), scale.data(), offset.data());
    } else {
        Loops::forward(from, to, rows.count(), rows.width(), scale.data(), offset.data());
    }
    return y;
}

// Gradients of x, of the residual if there is y, of weight and bias. `other` is a second gradient: with y of the output,
// which had two readers, else of x, which had another reader.
template <class Loops>
variable_list gradients(const Tensor& x, const Tensor& y, const Tensor& dy, const Tensor& other_dy, const Channels& channels) {
    using Value = typename Loops::Value;
    bool with_residual = y.defined();
    Rows rows(x);
    std::vector<float> scale = rows.spread(channels.scale), offset = rows.spread(channels.offset),
                       mean = rows.spread(channels.mean);
    const Value *values = static_cast<const Value*>(x.const_data_ptr()), *up = static_cast<const Value*>(dy.const_data_ptr());
    const Value* out = with_residual ? static_cast<const Value*>(y.const_data_ptr()) : nullptr;
    const Value* more = other_dy.defined() ? static_cast<const Value*>(other_dy.const_data_ptr()) : nullptr;
    Tensor passed = with_residual ? at::empty_like(x) : Tensor();
    Value* through = with_residual ? static_cast<Value*>(passed.mutable_data_ptr()) : nullptr;
    std::vector<double> sums, products;
    rows.reduce([&](int64_t row, int64_t count, float* one, float* other) {
        int64_t start = row * rows.width();
        if (with_residual && more != nullptr) {
            Loops::gradients_residual_other(values + start, out + start, up + start, more + start, through + start, count,
                                            rows.width(), scale.data(), offset.data(), mean.data(), one, other);
        } else if (with_residual) {
            Loops::gradients_residual(values + start, out + start, up + start, through + start, count, rows.width(),
                                      scale.data(), offset.data(), mean.data(), one, other);
        } else {
            Loops::gradients(values + start, up + start, count, rows.width(), scale.data(), offset.data(), mean.data(), one,
                             other);
        }
    }, sums, products);
    std::vector<float> weight, bias, constant, slope;
    double count = static_cast<double>(rows.pixels);
    for (int64_t channel = 0; channel < rows.channels; ++channel) {
        double deviation = channels.deviation[channel];
        weight.push_back(static_cast<float>(products[channel] * deviation));
        bias.push_back(static_cast<float>(sums[channel]));
        constant.push_back(static_cast<float>(sums[channel] / count));
        slope.push_back(static_cast<float>(products[channel] * deviation * deviation / count));
    }
    constant = rows.spread(constant);
    slope = rows.spread(slope);
    Tensor dx = at::empty_like(x);
    Value* to = static_cast<Value*>(dx.mutable_data_ptr());
    if (with_residual) {
        Loops::backward_residual(values, through, to, rows.count(), rows.width(), scale.data(), offset.data(), mean.data(),
                                 constant.data(), slope.data());
    } else if (more != nullptr) {
        Loops::backward_other(values, up, more, to, rows.count(), rows.width(), scale.data(), offset.data(), mean.data(),
                              constant.data(), slope.data());
    } else {
        Loops::backward(values, up, to, rows.count(), rows.width(), scale.data(), offset.data(), mean.data(), constant.data(),
                        slope.data());
    }
    return {dx, passed, of(weight), of(bias)};
}

// The memory of the gradient of a tensor like x; nothing if there is none.
Tensor laid(const Tensor& gradient, const Tensor& x) {
    return gradient.defined() ? gradient.to(x.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast) : gradient;
}

// The saved tensors of both operations: x, y if the sign of y cannot be told from x, and what was found for each channel.
variable_list saved(const Tensor& x, const Tensor& y, const Channels& found) {
    return {x, y, of(found.scale), of(found.offset), of(found.mean), of(found.deviation)};
}

variable_list gradients(const variable_list& saved, const Tensor& dy, const Tensor& other) {
    const Tensor& x = saved[0];
    Channels channels{floats(saved[2]), floats(saved[3]), floats(saved[4]), floats(saved[5])};
    return x.scalar_type() == at::kFloat ? gradients<Float32Loops>(x, saved[1], laid(dy, x), laid(other, x), channels)
                                         : gradients<BFloat16Loops>(x, saved[1], laid(dy, x), laid(other, x), channels);
}

Channels trained(const Tensor& x, const Tensor& added, const Tensor& weight, const Tensor& bias, Tensor& running_mean,
                 Tensor& running_variance, double momentum, double epsilon) {
    return x.scalar_type() == at::kFloat
               ? trained<Float32Loops>(x, added, weight, bias, running_mean, running_variance, momentum, epsilon)
               : trained<BFloat16Loops>(x, added, weight, bias, running_mean, running_variance, momentum, epsilon);
}

Tensor applied(const Tensor& x, const Tensor& residual, const Channels& channels) {
    return x.scalar_type() == at::kFloat ? applied<Float32Loops>(x, residual, channels)
                                         : applied<BFloat16Loops>(x, residual, channels);
}

// max(0, batch norm of x + residual), twice: the second is the same memory, so that the gradients of two readers arrive apart
// and need not be added beforehand.
struct NormRelu : public torch::autograd::Function<NormRelu> {
    static variable_list forward(AutogradContext* context, const Tensor& x, const std::optional<Tensor>& added,
                                 const Tensor& weight, const Tensor& bias, Tensor running_mean, Tensor running_variance,
                                 double momentum, double epsilon) {
        at::AutoDispatchBelowADInplaceOrView guard;
        Tensor residual = added.value_or(Tensor());
        Channels found = trained(x, Tensor(), weight, bias, running_mean, running_variance, momentum, epsilon);
        Tensor y = applied(x, residual, found);
        context->save_for_backward(saved(x, residual.defined() ? y : Tensor(), found));
        context->set_materialize_grads(false);
        return {y, y.alias()};
    }

    static variable_list backward(AutogradContext* context, variable_list up) {
        variable_list kept = context->get_saved_variables();
        bool both = up[0].defined() && up[1].defined();
        Tensor dy = up[0].defined() ? up[0] : up[1], other = both ? up[1] : Tensor();
        if (!dy.defined()) return variable_list(8);
        // Without a residual the kernel's second gradient is another.
        if (both && !kept[1].defined()) dy = dy + other, other = Tensor();
        variable_list result = gradients(kept, dy, other);
        result.resize(8);
        return result;
    }
};

// x + added, which takes the place of x, and max(0, batch norm of it).
struct SumNormRelu : public torch::autograd::Function<SumNormRelu> {
    static variable_list forward(AutogradContext* context, Tensor x, const Tensor& added, const Tensor& weight,
                                 const Tensor& bias, Tensor running_mean, Tensor running_variance, double momentum,
                                 double epsilon) {
        at::AutoDispatchBelowADInplaceOrView guard;
        Channels found = trained(x, added, weight, bias, running_mean, running_variance, momentum, epsilon);
        Tensor y = applied(x, Tensor(), found);
        context->mark_dirty({x});
        context->save_for_backward(saved(x, Tensor(), found));
        context->set_materialize_grads(false);
        return {x, y};
    }

    static variable_list backward(AutogradContext* context, variable_list up) {
        variable_list result(8);
        if (!up[1].defined()) {
            result[0] = result[1] = up[0];
            return result;
        }
        variable_list found = gradients(context->get_saved_variables(), up[1], up[0]);
        result[0] = result[1] = found[0];
        result[2] = found[2];
        result[3] = found[3];
        return result;
    }
};

bool fits(const Tensor& x) {
    return x.device().is_cpu() && x.dim() == 4 && x.numel() > 0 && x.is_contiguous(at::MemoryFormat::ChannelsLast) &&
           (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

}  // namespace

namespace {

// Whether the kernel can do it: x and the other tensor, if there is one, of one form, on one thread.
bool can(const Tensor& x, const Tensor* other, const Tensor& weight, bool training) {
    bool same = other == nullptr ||
                (fits(*other) && other->sizes() == x.sizes() && other->scalar_type() == x.scalar_type());
    bool learns = at::GradMode::is_enabled() && (x.requires_grad() || weight.requires_grad());
    return fits(x) && same && at::get_num_threads() == 1 && (!learns || training);
}

// Runs `body`; false where it throws, and then `what` points to the reason, which lives until this thread's next call.
template <class Body>
bool guarded(const char** what, Body body) {
    static thread_local std::string reason;
    *what = nullptr;
    try {
        return body();
    } catch (const std::exception& error) {
        reason = error.what();
        *what = reason.c_str();
        return false;
    }
}

}  // namespace

// max(0, batch_norm(x) + residual), `residual` being null or of the form of x: a new tensor in `y`, and where `twin` is not
// null and gradients are wanted, the same memory as another one there. False where this cannot do it: then nothing has
// happened, and `what`, if it is not null, points to the reason, which lives until the next call.
extern "C" bool tombola_norm_relu(Tensor* x, Tensor* residual, Tensor* weight, Tensor* bias, Tensor* running_mean,
                                  Tensor* running_variance, bool training, double momentum, double epsilon, Tensor** y,
                                  Tensor** twin, const char** what) {
    return guarded(what, [&] {
        if (!can(*x, residual, *weight, training)) return false;
        Tensor scales = weight->contiguous(), shifts = bias->contiguous();
        if (training) {
            std::optional<Tensor> added = residual == nullptr ? std::nullopt : std::optional<Tensor>(*residual);
            variable_list out =
                NormRelu::apply(*x, added, scales, shifts, *running_mean, *running_variance, momentum, epsilon);
            *y = new Tensor(out[0]);
            if (twin != nullptr) *twin = new Tensor(out[1]);
            return true;
        }
        Channels found = evaluated(scales, shifts, *running_mean, *running_variance, epsilon);
        *y = new Tensor(applied(*x, residual == nullptr ? Tensor() : *residual, found));
        return true;
    });
}

// max(0, batch_norm(x + added)) in `y`, and x + added in `sum`, which takes the memory of x: nobody else may read that.
// False as above; only in training.
extern "C" bool tombola_sum_norm_relu(Tensor* x, Tensor* added, Tensor* weight, Tensor* bias, Tensor* running_mean,
                                      Tensor* running_variance, double momentum, double epsilon, Tensor** sum, Tensor** y,
                                      const char** what) {
    return guarded(what, [&] {
        if (!can(*x, added, *weight, true)) return false;
        variable_list out = SumNormRelu::apply(*x, *added, weight->contiguous(), bias->contiguous(), *running_mean,
                                               *running_variance, momentum, epsilon);
        *sum = new Tensor(out[0]);
        *y = new Tensor(out[1]);
        return true;
    });
}
