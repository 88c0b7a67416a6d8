//! What moves, cuts and joins values as operators of ONNX.

use super::writer::GraphWriter;
use tombola_core::net::op::{Filling, Reduction};
use tombola_core::net::{NodeId, Op};
use tombola_core::onnx::proto::Attribute;
use tombola_words::Axes;

fn long(axes: Axes) -> Vec<i64> {
    axes.as_slice().iter().map(|size| *size as i64).collect()
}

impl GraphWriter<'_> {
    /// Parts of axes: each an axis, its first place, the one after the last, and the step.
    pub(super) fn sliced(&mut self, x: &str, parts: &[(usize, usize, usize, usize)]) -> String {
        let list = |of: fn(&(usize, usize, usize, usize)) -> usize| -> Vec<i64> {
            parts.iter().map(|part| of(part) as i64).collect()
        };
        let lists = [
            self.list("starts", &list(|part| part.1)),
            self.list("ends", &list(|part| part.2)),
            self.list("axes", &list(|part| part.0)),
            self.list("steps", &list(|part| part.3)),
        ];
        let [starts, ends, axes, steps] = &lists;
        self.add("Slice", &[x, starts, ends, axes, steps], Vec::new())
    }

    fn gathered(&mut self, x: &str, axis: usize, list: usize) -> String {
        let places: Vec<i64> = self.graph.selections[list].iter().map(|place| *place as i64).collect();
        let places = self.list("places", &places);
        self.add("Gather", &[x, &places], vec![Attribute::of_integer("axis", axis as i64)])
    }

    fn joined(&mut self, parts: &[&str], axis: usize) -> String {
        self.add("Concat", parts, vec![Attribute::of_integer("axis", axis as i64)])
    }

    pub(super) fn moved(&mut self, id: NodeId) -> String {
        let names = self.inputs(id);
        let inputs: Vec<&str> = names.iter().map(String::as_str).collect();
        let x = names.first().map_or("", String::as_str);
        let shape = self.graph.nodes[id].shape;
        match self.graph.nodes[id].op {
            Op::Flatten => self.add("Flatten", &inputs, vec![Attribute::of_integer("axis", 1)]),
            Op::PadShortcut { stride, before, after } => {
                let sizes = self.sizes(id);
                let [.., height, width] = *sizes else { return x.to_string() };
                let kept = self.sliced(x, &[(2, 0, height, stride), (3, 0, width, stride)]);
                let pads = self.list("pads", &[0, before as i64, 0, 0, 0, after as i64, 0, 0]);
                self.add("Pad", &[&kept, &pads], Vec::new())
            }
            Op::Select { list, .. } => self.gathered(x, 1, list),
            Op::Take { axis, list } => self.gathered(x, axis, list),
            Op::Slice { axis, start, end, step } => self.sliced(x, &[(axis, start, end, step)]),
            Op::Concat { axis } => self.joined(&inputs, axis),
            Op::Reshape { to } => {
                let mut sizes = long(to);
                if let Some(first) = sizes.first_mut().filter(|_| shape.is_of_images()) {
                    *first = -1;
                }
                let sizes = self.list("sizes", &sizes);
                self.add("Reshape", &[x, &sizes], Vec::new())
            }
            Op::Permute { order } => self.add("Transpose", &inputs, vec![Attribute::of_integers("perm", &long(order))]),
            Op::Expand { to, images } => self.repeated(id, x, to, images),
            Op::Reduce { reduction, axes, keep } => {
                let keep = Attribute::of_integer("keepdims", i64::from(keep));
                // Opset 17 takes the axes of a sum as an input, all others as an attribute.
                if reduction == Reduction::Sum {
                    let axes = self.list("axes", &long(axes));
                    return self.add("ReduceSum", &[x, &axes], vec![keep]);
                }
                let operator = match reduction {
                    Reduction::Max => "ReduceMax",
                    Reduction::Norm => "ReduceL2",
                    _ => "ReduceMean",
                };
                self.add(operator, &[x], vec![Attribute::of_integers("axes", &long(axes)), keep])
            }
            Op::Pad { around, filling } => {
                let [left, right, top, bottom] = around.map(|size| size as i64);
                let pads = self.list("pads", &[0, 0, top, left, 0, 0, bottom, right]);
                let (mode, value) = match filling {
                    Filling::Constant(value) => ("constant", Some(value.0)),
                    Filling::Reflect => ("reflect", None),
                    Filling::Replicate => ("edge", None),
                };
                let value = value.map(|value| self.number("value", value));
                let inputs: Vec<&str> = [x, &pads].into_iter().chain(value.as_deref()).collect();
                self.add("Pad", &inputs, vec![Attribute::of_text("mode", mode)])
            }
            Op::Roll { axis, by } => {
                let size = self.sizes(id)[axis];
                let start = size - by % size.max(1);
                if start == size {
                    return x.to_string();
                }
                let end = self.sliced(x, &[(axis, start, size, 1)]);
                let beginning = self.sliced(x, &[(axis, 0, start, 1)]);
                self.joined(&[&end, &beginning], axis)
            }
            _ => x.to_string(),
        }
    }

    /// Repeated to sizes, of which the first may be that of the images.
    fn repeated(&mut self, id: NodeId, x: &str, to: Axes, images: bool) -> String {
        let mut sizes = long(to);
        if images && self.graph.input_of(id).is_of_images() {
            // An axis of 1 takes the size that is there.
            sizes[0] = 1;
        }
        if !images || self.graph.input_of(id).is_of_images() {
            let sizes = self.list("sizes", &sizes);
            return self.add("Expand", &[x, &sizes], Vec::new());
        }
        let first = vec![Attribute::of_integer("start", 0), Attribute::of_integer("end", 1)];
        let mut count = self.add("Shape", &["images"], first);
        if sizes[0] != 1 {
            let places = self.list("places", &sizes[..1]);
            count = self.add("Mul", &[&count, &places], Vec::new());
        }
        let others = self.list("sizes", &sizes[1..]);
        let sizes = if sizes.len() == 1 { count } else { self.joined(&[&count, &others], 0) };
        self.add("Expand", &[x, &sizes], Vec::new())
    }
}
