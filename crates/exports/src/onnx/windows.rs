//! Convolutions, pools and interpolation as operators of ONNX.

use super::writer::GraphWriter;
use tombola_core::net::op::{Interpolation, Reduction, Window};
use tombola_core::net::{NodeId, Op};
use tombola_core::onnx::proto::Attribute;

fn long(sizes: &[usize]) -> Vec<i64> {
    sizes.iter().map(|size| *size as i64).collect()
}

/// Of a pair the part that there is: signals have no height.
fn of(pair: [usize; 2], is_signal: bool) -> Vec<i64> {
    long(if is_signal { &pair[1..] } else { &pair })
}

/// Where a window reads, with further positions behind the image.
fn placed(window: Window, is_signal: bool, behind: [usize; 2]) -> Vec<Attribute> {
    let before = of(window.padding, is_signal);
    let after = of([0, 1].map(|axis| window.padding[axis] + behind[axis]), is_signal);
    vec![
        Attribute::of_integers("kernel_shape", &of(window.kernel, is_signal)),
        Attribute::of_integers("strides", &of(window.stride, is_signal)),
        Attribute::of_integers("pads", &[before, after].concat()),
    ]
}

impl GraphWriter<'_> {
    pub(super) fn convolution(&mut self, id: NodeId) -> String {
        let is_signal = self.sizes(id).len() == 3;
        let names = [self.inputs(id), self.parameters(id)].concat();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (Op::Conv { window, groups, .. } | Op::ConvTransposed { window, groups, .. }) = self.graph.nodes[id].op
        else {
            return String::new();
        };
        let mut attributes = placed(window, is_signal, [0; 2]);
        attributes.push(Attribute::of_integers("dilations", &of(window.dilation, is_signal)));
        attributes.push(Attribute::of_integer("group", groups as i64));
        match self.graph.nodes[id].op {
            Op::ConvTransposed { output_padding, .. } => {
                attributes.push(Attribute::of_integers("output_padding", &of(output_padding, is_signal)));
                self.add("ConvTranspose", &names, attributes)
            }
            _ => self.add("Conv", &names, attributes),
        }
    }

    pub(super) fn window(&mut self, id: NodeId) -> String {
        let (sizes, x) = (self.sizes(id), self.inputs(id).concat());
        let is_signal = sizes.len() == 3;
        match self.graph.nodes[id].op {
            Op::MaxPool { window, ceil } => {
                let mut attributes = placed(window, is_signal, self.behind(id, window, ceil));
                attributes.push(Attribute::of_integers("dilations", &of(window.dilation, is_signal)));
                self.add("MaxPool", &[&x], attributes)
            }
            Op::AvgPool { window, ceil, counts_padding } => self.mean_pool(id, window, ceil, counts_padding),
            Op::AdaptivePool { reduction, to } => self.adaptive_pool(&x, &sizes, reduction, to),
            Op::Interpolate { mode, to, align_corners } => self.resized(&x, mode, to, align_corners),
            _ => {
                let pooled = self.add("GlobalAveragePool", &[&x], Vec::new());
                self.add("Flatten", &[&pooled], vec![Attribute::of_integer("axis", 1)])
            }
        }
    }

    /// Positions behind the padding that windows reach over where they may: readers of ONNX differ in `ceil_mode`, so the
    /// positions are written instead.
    fn behind(&self, id: NodeId, window: Window, ceil: bool) -> [usize; 2] {
        let (before, after) = (self.sizes(id), Vec::from(self.graph.nodes[id].shape.axes()));
        [0, 1].map(|axis| {
            // Of a signal only the last axis is one of places.
            let place = (before.len() + axis).checked_sub(2).filter(|place| *place > 1 && ceil);
            let Some(place) = place else { return 0 };
            let reach = window.dilation[axis] * (window.kernel[axis] - 1) + 1;
            let needed = (after[place] - 1) * window.stride[axis] + reach;
            needed.saturating_sub(before[place] + 2 * window.padding[axis])
        })
    }

    fn mean_pool(&mut self, id: NodeId, window: Window, ceil: bool, counts_padding: bool) -> String {
        let (is_signal, mut x) = (self.sizes(id).len() == 3, self.inputs(id).concat());
        let behind = self.behind(id, window, ceil);
        let mut window = window;
        if counts_padding && behind != [0; 2] && window.padding != [0; 2] {
            // Padding counts, and what lies behind it does not: so padding becomes a part of the image.
            let around = of(window.padding, is_signal);
            let pads = [vec![0, 0], around.clone(), vec![0, 0], around].concat();
            let pads = self.list("pads", &pads);
            x = self.add("Pad", &[&x, &pads], Vec::new());
            window.padding = [0; 2];
        }
        let mut attributes = placed(window, is_signal, behind);
        let counts = counts_padding && behind == [0; 2];
        attributes.push(Attribute::of_integer("count_include_pad", i64::from(counts)));
        self.add("AveragePool", &[&x], attributes)
    }

    fn adaptive_pool(&mut self, x: &str, sizes: &[usize], reduction: Reduction, to: [usize; 2]) -> String {
        let [.., height, width] = *sizes else { return x.to_string() };
        let size = [height, width];
        if (0..2).all(|axis| size[axis].is_multiple_of(to[axis])) {
            let kernel = [0, 1].map(|axis| size[axis] / to[axis]);
            let window = Window { kernel, stride: kernel, padding: [0; 2], dilation: [1; 2] };
            let operator = if reduction == Reduction::Max { "MaxPool" } else { "AveragePool" };
            return self.add(operator, &[x], placed(window, false, [0; 2]));
        }
        // Windows of different sizes: PyTorch's window `place` goes from floor(place · size / to) to ceil((place + 1) · size / to).
        let windows = |axis: usize| {
            (0..to[axis])
                .map(move |place| (place * size[axis] / to[axis], ((place + 1) * size[axis]).div_ceil(to[axis])))
        };
        if reduction == Reduction::Max {
            let mut x = x.to_string();
            for axis in 0..2 {
                let parts: Vec<String> = windows(axis)
                    .map(|(start, end)| {
                        let part = self.sliced(&x, &[(2 + axis, start, end, 1)]);
                        let axes = Attribute::of_integers("axes", &[2 + axis as i64]);
                        self.add("ReduceMax", &[&part], vec![axes])
                    })
                    .collect();
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                x = self.add("Concat", &parts, vec![Attribute::of_integer("axis", 2 + axis as i64)]);
            }
            return x;
        }
        // Means by a matrix of shares from each side.
        let shares = |axis: usize| {
            windows(axis).flat_map(move |(start, end)| {
                let share = 1.0 / (end - start) as f32;
                (0..size[axis]).map(move |place| if (start..end).contains(&place) { share } else { 0.0 })
            })
        };
        let rows = self.floats("rows", &[to[0], height], &shares(0).collect::<Vec<_>>());
        let columns = self.floats("columns", &[to[1], width], &shares(1).collect::<Vec<_>>());
        let columns = self.add("Transpose", &[&columns], vec![Attribute::of_integers("perm", &[1, 0])]);
        let fewer = self.add("MatMul", &[&rows, x], Vec::new());
        self.add("MatMul", &[&fewer, &columns], Vec::new())
    }

    fn resized(&mut self, x: &str, mode: Interpolation, to: [usize; 2], align_corners: bool) -> String {
        let shape = vec![Attribute::of_integer("start", 0), Attribute::of_integer("end", 2)];
        let shape = self.add("Shape", &[x], shape);
        let sides = self.list("sides", &long(&to));
        let sizes = self.add("Concat", &[&shape, &sides], vec![Attribute::of_integer("axis", 0)]);
        let (mode, places) = match mode {
            Interpolation::Nearest => ("nearest", "asymmetric"),
            Interpolation::Bilinear => ("linear", if align_corners { "align_corners" } else { "half_pixel" }),
            Interpolation::Bicubic => ("cubic", if align_corners { "align_corners" } else { "half_pixel" }),
        };
        let attributes = vec![
            Attribute::of_text("mode", mode),
            Attribute::of_text("coordinate_transformation_mode", places),
            Attribute::of_text("nearest_mode", "floor"),
            Attribute::of_float("cubic_coeff_a", -0.75),
        ];
        self.add("Resize", &[x, "", "", &sizes], attributes)
    }
}
