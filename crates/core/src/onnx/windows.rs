//! Pools, reductions, padding and other sizes of images.

use super::attributes::{MOST, axis_of};
use super::operators::OnnxInputs;
use super::proto::NodeProto;
use super::reader::{OnnxReader, OnnxTaken};
use super::values::OnnxValue;
use crate::net::NodeId;
use crate::net::op::{Filling, Interpolation, Op, Real, Reduction, Window};
use tombola_words::Axes;

impl OnnxReader<'_> {
    /// KnownSize numbers that an attribute has, or an input of later operators.
    pub(super) fn numbers(
        &self,
        node: &NodeProto,
        inputs: &OnnxInputs,
        attribute: &str,
        place: usize,
    ) -> OnnxTaken<Option<Vec<i64>>> {
        if let Some(found) = node.integers(attribute) {
            return Ok(Some(found.to_vec()));
        }
        match inputs.get(place) {
            None => Ok(None),
            Some(OnnxValue::Wholes(_, values)) if values.iter().all(|whole| !whole.each) => {
                Ok(Some(values.iter().map(|whole| whole.value).collect()))
            }
            Some(_) => Err(format!("its `{attribute}` is not known before it runs")),
        }
    }

    pub(super) fn pool(&mut self, node: &NodeProto, inputs: &OnnxInputs, name: &str) -> OnnxTaken<NodeId> {
        let mut x = self.node_of(inputs.at(0)?)?;
        let global = |reduction| Op::Reduce { reduction, axes: Axes::of(&[2, 3]).unwrap_or_default(), keep: true };
        match &*node.operator {
            "GlobalAveragePool" => return self.add(name, global(Reduction::Mean), &[x]),
            "GlobalMaxPool" => return self.add(name, global(Reduction::Max), &[x]),
            _ => {}
        }
        let is_signal = self.sizes(x).len() == 3;
        let kernel = node.sides("kernel_shape", 1)?;
        if kernel.contains(&0) {
            return Err("has an empty window".to_string());
        }
        let (stride, dilation) = (node.sides("strides", 1)?, node.sides("dilations", 1)?);
        let ceil = node.integer("ceil_mode").unwrap_or(0) != 0;
        let counts_padding = node.integer("count_include_pad").unwrap_or(0) != 0;
        let (mut padding, around) = self.padding(node, kernel, is_signal)?;
        let is_mean = node.operator == "AveragePool";
        if around != [0; 4] {
            // Positions that are added behind alone are those of `ceil`, as Tombola writes it.
            if let Some((own, ceil)) = self.behind(x, Window { kernel, stride, padding, dilation }, around)
                && !(is_mean && counts_padding)
            {
                let window = Window { padding: own, kernel, stride, dilation };
                return self.add(name, windows_of(is_mean, window, ceil, false), &[x]);
            }
            if is_mean && !counts_padding {
                return Err("has other padding on one side than on the other".to_string());
            }
            let filling = Filling::Constant(Real(if is_mean { 0.0 } else { f64::NEG_INFINITY }));
            x = self.add("pad", Op::Pad { around, filling }, &[x])?;
            padding = [0; 2];
        }
        // Of windows without padding nobody counts any; PyTorch's own word for it is yes.
        let counts_padding = counts_padding || padding == [0; 2];
        let window = Window { kernel, stride, padding, dilation };
        self.add(name, windows_of(is_mean, window, ceil, counts_padding), &[x])
    }

    /// Padding and `ceil` that reach as far as padding that is larger behind the image than before it.
    fn behind(&self, x: NodeId, window: Window, around: [usize; 4]) -> Option<([usize; 2], bool)> {
        let [left, right, top, bottom] = around;
        let sizes = self.sizes(x);
        let &[_, _, height, width] = &*sizes else { return None };
        let reaches = |size: usize, before: usize, after: usize, axis: usize| {
            let reach = window.dilation[axis] * (window.kernel[axis] - 1) + 1;
            let whole = (size + 2 * before).checked_sub(reach)?;
            let over = whole % window.stride[axis].max(1);
            let needed = if over == 0 { 0 } else { window.stride[axis] - over };
            Some(after == before + needed && before * 2 <= window.kernel[axis])
        };
        (reaches(height, top, bottom, 0)? && reaches(width, left, right, 1)?).then_some(([top, left], true))
    }

    pub(super) fn reduced(&mut self, node: &NodeProto, inputs: &OnnxInputs, name: &str) -> OnnxTaken<NodeId> {
        let x = self.node_of(inputs.at(0)?)?;
        let sizes = self.sizes(x);
        let axes = self.numbers(node, inputs, "axes", 1)?.ok_or("does not say its axes")?;
        let axes: Vec<usize> = axes.iter().map(|axis| axis_of(*axis, sizes.len())).collect::<OnnxTaken<_>>()?;
        let mut axes = axes;
        axes.sort_unstable();
        axes.dedup();
        let keep = node.integer("keepdims").unwrap_or(1) != 0;
        let reduction = match &*node.operator {
            "ReduceMean" => Reduction::Mean,
            "ReduceMax" => Reduction::Max,
            "ReduceSum" => Reduction::Sum,
            _ => Reduction::Norm,
        };
        if (reduction, &*axes, sizes.len(), keep) == (Reduction::Mean, &[2, 3], 4, false) && sizes[0] == 1 {
            return self.add(name, Op::GlobalAveragePool, &[x]);
        }
        let axes = Axes::of(&axes).ok_or("has too many axes")?;
        self.add(name, Op::Reduce { reduction, axes, keep }, &[x])
    }

    pub(super) fn padded(&mut self, node: &NodeProto, inputs: &OnnxInputs, name: &str) -> OnnxTaken<NodeId> {
        let x = self.node_of(inputs.at(0)?)?;
        let count = self.sizes(x).len();
        let pads = self.numbers(node, inputs, "pads", 1)?.ok_or("does not say how much")?;
        let axes: Vec<usize> = match self.numbers(node, inputs, "axes", 3)? {
            Some(axes) => axes.iter().map(|axis| axis_of(*axis, count)).collect::<OnnxTaken<_>>()?,
            None => (0..count).collect(),
        };
        if pads.len() != 2 * axes.len() {
            return Err(format!("has {} numbers for {} axes", pads.len(), axes.len()));
        }
        let mut all = vec![[0usize; 2]; count];
        for (place, axis) in axes.iter().enumerate() {
            let own = [pads[place], pads[place + axes.len()]].map(usize::try_from);
            let [Ok(before), Ok(after)] = own else { return Err("takes places away".to_string()) };
            if before.max(after) > MOST {
                return Err(format!("adds {before} and {after} places, at most {MOST} are read"));
            }
            all[*axis] = [before, after];
        }
        let value = inputs.get(2).map(|value| value.number().ok_or("its value is no number")).transpose()?;
        let value = value.or(node.float("value")).unwrap_or(0.0);
        let filling = match node.text("mode").unwrap_or("constant") {
            "constant" => Filling::Constant(Real(value)),
            "reflect" => Filling::Reflect,
            "edge" => Filling::Replicate,
            other => return Err(format!("its mode is `{other}`, expected constant, reflect or edge")),
        };
        match *all {
            [[0, 0], [0, 0], [top, bottom], [left, right]] => {
                self.add(name, Op::Pad { around: [left, right, top, bottom], filling }, &[x])
            }
            [[0, 0], [before, after], [0, 0], [0, 0]] if filling == Filling::Constant(Real(0.0)) => {
                self.add(name, Op::PadShortcut { stride: 1, before, after }, &[x])
            }
            _ => Err("pads other axes than the last two of an image".to_string()),
        }
    }

    pub(super) fn resized(&mut self, node: &NodeProto, inputs: &OnnxInputs, name: &str) -> OnnxTaken<NodeId> {
        let x = self.node_of(inputs.at(0)?)?;
        let sizes = self.sizes(x);
        let &[_, _, height, width] = &*sizes else {
            return Err(format!("is of {} axes, expected an image", sizes.len()));
        };
        let to = match (inputs.get(2), inputs.get(3)) {
            (_, Some(OnnxValue::Wholes(_, values))) if values.len() == 4 => {
                [2, 3].map(|axis| usize::try_from(values[axis].value).ok().filter(|_| !values[axis].each))
            }
            (Some(scales), _) => match self.floats_of(scales)?.as_deref() {
                Some(&[images, channels, rows, columns]) if images == 1.0 && channels == 1.0 => {
                    [(height, rows), (width, columns)].map(|(size, scale)| Some((size as f32 * scale).floor() as usize))
                }
                _ => [None; 2],
            },
            _ => [None; 2],
        };
        let [Some(rows), Some(columns)] = to else { return Err("its sizes are not known before it runs".to_string()) };
        if rows.max(columns) > MOST {
            return Err(format!("gives {rows}x{columns}, at most {MOST} rows and columns are read"));
        }
        let places = node.text("coordinate_transformation_mode").unwrap_or("half_pixel");
        let align_corners = places == "align_corners";
        let is_half = matches!(places, "half_pixel" | "pytorch_half_pixel");
        let mode = match node.text("mode").unwrap_or("nearest") {
            "nearest" if places == "asymmetric" && node.text("nearest_mode") == Some("floor") => Interpolation::Nearest,
            "linear" if is_half || align_corners => Interpolation::Bilinear,
            "cubic" if is_half || align_corners => Interpolation::Bicubic,
            other => return Err(format!("`{other}` by `{places}` is not how PyTorch does it")),
        };
        self.add(name, Op::Interpolate { mode, to: [rows, columns], align_corners }, &[x])
    }
}

fn windows_of(is_mean: bool, window: Window, ceil: bool, counts_padding: bool) -> Op {
    match is_mean {
        true => Op::AvgPool { window, ceil, counts_padding },
        false => Op::MaxPool { window, ceil },
    }
}
