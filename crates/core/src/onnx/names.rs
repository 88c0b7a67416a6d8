//! What the parts of an ONNX file are called: PyTorch's names where they are there.

use super::proto::NodeProto;

/// How exporters begin the names that they make themselves.
const MADE: [&str; 7] = ["onnx::", "val_", "_val_", "constant", "Constant_", "scalar_tensor", "_"];

/// Whether a name is one that PyTorch gives to a parameter, not one that an exporter made.
pub(super) fn is_of_pytorch(name: &str) -> bool {
    let own = name.strip_prefix('x').map(|rest| rest.trim_start_matches(|letter: char| letter.is_ascii_digit()));
    let is_ours = own.is_some_and(|rest| rest.len() + 1 < name.len() && rest.starts_with('_'));
    let last = name.rsplit('.').next().unwrap_or(name);
    !is_ours
        && !MADE.iter().any(|made| name.starts_with(made))
        && !name.contains(['/', ':', ' '])
        && name.chars().any(|letter| letter.is_alphabetic())
        && !last.contains("mask")
        && !name.ends_with("_cast")
}

/// The path of the module that an operator comes from, as far as the file tells.
pub(super) fn module_of(node: &NodeProto) -> String {
    let scopes = node.metadata.iter().find(|entry| entry.key == "pkg.torch.onnx.name_scopes");
    if let Some(scopes) = scopes {
        let parts: Vec<&str> = scopes.value.split('\'').skip(1).step_by(2).filter(|part| !part.is_empty()).collect();
        if let Some(module) = parts.len().checked_sub(2).map(|place| parts[place]) {
            return module.to_string();
        }
    }
    // `/layer1/layer1.0/conv1/Conv`: parts within repeat the name of a list.
    let mut path: Vec<&str> = Vec::new();
    let parts: Vec<&str> = node.name.split('/').filter(|part| !part.is_empty()).collect();
    for part in &parts[..parts.len().saturating_sub(1)] {
        if path.last().is_some_and(|last| part.starts_with(&format!("{last}."))) {
            path.pop();
        }
        path.push(part);
    }
    path.join(".")
}

/// What an operator is called in errors.
pub(super) fn told(node: &NodeProto) -> String {
    let name = [&node.name].into_iter().chain(&node.outputs).find(|name| !name.is_empty());
    format!("node `{}` ({})", name.map_or("", String::as_str), node.operator)
}

/// The names of a layer and of its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LayerNames {
    /// Of the layer.
    pub(super) layer: String,
    /// Of its weight.
    pub(super) weight: String,
    /// Of its bias, if it has one.
    pub(super) bias: Option<String>,
}

impl LayerNames {
    /// Those of a layer that reads tensors of these names.
    pub(super) fn of(node: &NodeProto, weight: &str, bias: Option<&str>) -> Self {
        let known = |name: Option<&str>, end: &str| {
            let name = name.filter(|name| is_of_pytorch(name))?;
            name.strip_suffix(end).filter(|layer| !layer.is_empty()).map(str::to_string)
        };
        let first = || Some(node.outputs.first()?.clone());
        let path = || Some(module_of(node)).filter(|path| !path.is_empty());
        let layer = known(Some(weight), ".weight").or_else(|| known(bias, ".bias")).or_else(path).or_else(first);
        let layer = layer.unwrap_or_default();
        let own = |name: &str, end: &str| match is_of_pytorch(name) {
            true => name.to_string(),
            false => format!("{layer}.{end}"),
        };
        let (weight, bias) = (own(weight, "weight"), bias.map(|bias| own(bias, "bias")));
        Self { layer, weight, bias }
    }

    /// The names of its parameters, where they are others than those of its layer.
    pub(super) fn parameters(&self) -> Vec<String> {
        let plain = |name: &str, end: &str| *name == format!("{}.{end}", self.layer);
        match plain(&self.weight, "weight") && self.bias.as_ref().is_none_or(|bias| plain(bias, "bias")) {
            true => Vec::new(),
            false => [self.weight.clone()].into_iter().chain(self.bias.clone()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_have_the_names_of_pytorch_where_the_file_has_them() {
        for name in ["layer1.0.conv1.weight", "cls_token", "gamma", "x.weight", "xception.conv"] {
            assert!(is_of_pytorch(name), "{name}");
        }
        for name in
            ["onnx::MatMul_12", "123", "/norm/Constant_output_0", "x12_scale", "attn.mask", "val_3", "threshold_cast"]
        {
            assert!(!is_of_pytorch(name), "{name}");
        }
        let node = NodeProto { name: "/blocks/blocks.0/attn/qkv/MatMul".to_string(), ..NodeProto::default() };
        assert_eq!(module_of(&node), "blocks.0.attn.qkv");
        let names = LayerNames::of(&node, "onnx::MatMul_3", None);
        assert_eq!((&*names.layer, &*names.weight), ("blocks.0.attn.qkv", "blocks.0.attn.qkv.weight"));
        let names = LayerNames::of(&node, "onnx::MatMul_3", Some("a.b.bias"));
        assert_eq!((&*names.weight, names.parameters()), ("a.b.weight", Vec::new()));
        let names = LayerNames::of(&node, "attn.in_proj_weight", Some("attn.in_proj_bias"));
        assert_eq!(names.parameters(), ["attn.in_proj_weight", "attn.in_proj_bias"]);
    }
}
