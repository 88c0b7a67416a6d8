//! What this processor can do, as far as it must be said before a run: whether it computes in bfloat16 by itself.
//!
//! It may not know of torch. libtorch takes bfloat16 wherever it is asked for, and where the processor has no instructions for
//! it, a training takes several times as long as in float32.

use std::fs;

/// Words of `/proc/cpuinfo` for instructions that compute in bfloat16 and that libtorch uses: x86-64 and Arm.
const INSTRUCTIONS: [&str; 3] = ["avx512_bf16", "amx_bf16", "bf16"];

/// What limits oneDNN, which has the convolutions of libtorch: its name of today, which counts first, and its former one.
const LIMITS: [&str; 2] = ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"];

/// Instruction sets of oneDNN without those that libtorch's bfloat16 needs.
const WITHOUT: [&str; 7] = ["SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"];

/// Why bfloat16 is slow on this machine's processor: what is to be said, and the cure. Nothing where it is fast, or where that
/// cannot be known.
pub fn slow_bf16() -> Option<(String, &'static str)> {
    let limit = LIMITS.iter().find_map(|name| Some((*name, std::env::var(name).ok()?)));
    let limit = limit.as_ref().map(|(name, value)| (*name, value.as_str()));
    judge(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default(), limit)
}

/// Instructions that decide how fast libtorch computes, each word of `/proc/cpuinfo` with its name; the widest first.
const SPEEDS: [(&str, &str); 5] = [
    ("amx_bf16", "AMX"),
    ("avx512_bf16", "AVX-512 with bf16"),
    ("avx512f", "AVX-512"),
    ("avx2", "AVX2"),
    ("sve", "SVE"),
];

/// What libtorch computes with on this processor, in words: `AVX2`, or `AVX-512 with bf16 ONEDNN_MAX_CPU_ISA=AVX2`.
pub fn instruction_set() -> String {
    let limits = LIMITS.iter().chain(&["ATEN_CPU_CAPABILITY"]);
    let limits: Vec<String> =
        limits.filter_map(|name| Some(format!(" {name}={}", std::env::var(name).ok()?))).collect();
    format!("{}{}", widest(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()), limits.concat())
}

/// The widest instructions that the text of `/proc/cpuinfo` has.
fn widest(cpuinfo: &str) -> &'static str {
    let words = features(cpuinfo).unwrap_or_default();
    let has = |word: &str| words.split_whitespace().any(|known| known == word);
    SPEEDS.iter().find(|(word, _)| has(word)).map_or("baseline instructions", |(_, name)| name)
}

/// Names of the processor's instructions.
fn features(cpuinfo: &str) -> Option<&str> {
    cpuinfo.lines().find_map(|line| {
        let (key, words) = line.split_once(':')?;
        ["flags", "Features"].contains(&key.trim()).then_some(words)
    })
}

/// The same for the text of `/proc/cpuinfo`, and the variable that limits oneDNN with its value, if there is one.
fn judge(cpuinfo: &str, limit: Option<(&str, &str)>) -> Option<(String, &'static str)> {
    let features = features(cpuinfo)?;
    let slow = "`precision = \"bf16\"` is slower than fp32 on this processor, up to ten times";
    if !features.split_whitespace().any(|word| INSTRUCTIONS.contains(&word)) {
        let lacks = "it has no instructions for bfloat16 (`avx512_bf16` or `amx_bf16`)";
        return Some((format!("{slow}: {lacks}"), "use `--precision fp32`"));
    }
    let (name, value) = limit.filter(|(_, value)| WITHOUT.iter().any(|set| set.eq_ignore_ascii_case(value)))?;
    let keeps = format!("`{name}={value}` keeps libtorch from its instructions for bfloat16");
    Some((format!("{slow}: {keeps}"), "use `--precision fp32`, or unset the variable"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: &str =
        "processor\t: 0\nmodel name\t: x\nflags\t\t: fpu avx2 avx512f avx512_bf16 wbnoinvd\n\nprocessor\t: 1\n";

    #[test]
    fn processors_without_bfloat16_are_named_with_the_cure() {
        for flags in ["fpu avx2", "fpu avx2 avx512f avx512bw", "avx512_bf16x"] {
            let (said, cure) = judge(&FAST.replace("fpu avx2 avx512f avx512_bf16", flags), None).unwrap();
            assert!(said.contains("no instructions for bfloat16"), "{flags}: {said}");
            assert_eq!(cure, "use `--precision fp32`");
        }
        assert!(judge("processor\t: 0\nFeatures\t: fp asimd\n", None).is_some());
    }

    #[test]
    fn processors_are_told_apart_by_their_widest_instructions() {
        assert_eq!(widest(FAST), "AVX-512 with bf16");
        assert_eq!(widest(&FAST.replace("avx512_bf16", "amx_bf16 avx512_bf16")), "AMX");
        assert_eq!(widest(&FAST.replace("avx512_bf16", "")), "AVX-512");
        assert_eq!(widest(&FAST.replace("avx512f avx512_bf16", "")), "AVX2");
        assert_eq!(widest(""), "baseline instructions");
    }

    #[test]
    fn processors_with_bfloat16_are_fast() {
        for flags in ["avx512_bf16", "amx_bf16", "fpu amx_bf16 amx_tile"] {
            assert_eq!(judge(&FAST.replace("avx512_bf16", flags), None), None, "{flags}");
        }
        assert_eq!(judge("processor\t: 0\nFeatures\t: fp asimd bf16 i8mm\n", None), None);
        assert_eq!(judge("", None), None, "not known");
    }

    #[test]
    fn a_limited_libtorch_is_as_slow_as_a_processor_without() {
        for value in ["AVX2", "avx2", "AVX512_CORE", "AVX", "SSE41"] {
            let (said, cure) = judge(FAST, Some(("ONEDNN_MAX_CPU_ISA", value))).unwrap();
            assert!(said.contains(&format!("`ONEDNN_MAX_CPU_ISA={value}` keeps")), "{said}");
            assert!(cure.contains("unset"), "{cure}");
        }
        for value in ["ALL", "DEFAULT", "AVX512_CORE_BF16", "AVX512_CORE_AMX", ""] {
            assert_eq!(judge(FAST, Some(("DNNL_MAX_CPU_ISA", value))), None, "{value}");
        }
    }
}
