//! What this processor can do, as far as it must be said before a run: whether it computes in bfloat16 by itself, and which
//! instructions decide the order in which numbers are added up.
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

/// Variables that keep libtorch or oneDNN from instructions that the processor has.
const KEEP_FROM: [&str; 3] = ["ATEN_CPU_CAPABILITY", LIMITS[0], LIMITS[1]];

/// The instruction set that libtorch computes with, and the maker of the processor, by which libraries choose too: "AVX2, AMD".
pub fn instruction_set() -> String {
    let limits: Vec<(&str, String)> =
        KEEP_FROM.iter().filter_map(|name| Some((*name, std::env::var(name).ok()?))).collect();
    named(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default(), &limits)
}

/// The same for the text of `/proc/cpuinfo`, and the variables that are set.
fn named(cpuinfo: &str, limits: &[(&str, String)]) -> String {
    let find = |keys: &[&str]| {
        cpuinfo.lines().find_map(|line| {
            let (key, words) = line.split_once(':')?;
            keys.contains(&key.trim()).then_some(words.trim())
        })
    };
    let features: Vec<&str> = find(&["flags", "Features"]).unwrap_or_default().split_whitespace().collect();
    // The widest that all of its needs are there for.
    let sets: [(&str, &[&str]); 4] = [
        ("AVX-512 with bf16", &["avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_bf16"]),
        ("AVX-512", &["avx512f", "avx512bw", "avx512vl", "avx512dq"]),
        ("AVX2", &["avx2", "fma"]),
        ("NEON", &["asimd"]),
    ];
    let has = |needs: &[&str]| needs.iter().all(|need| features.contains(need));
    let set = sets.iter().find(|(_, needs)| has(needs)).map_or(std::env::consts::ARCH, |(name, _)| name);
    let maker = match find(&["vendor_id"]) {
        Some("AuthenticAMD") => ", AMD".to_string(),
        Some("GenuineIntel") => ", Intel".to_string(),
        Some(other) => format!(", {other}"),
        None => String::new(),
    };
    let limits: String = limits.iter().map(|(name, value)| format!(", {name}={value}")).collect();
    format!("{set}{maker}{limits}")
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
    fn the_instruction_set_is_the_widest_with_what_keeps_from_it() {
        let of = |vendor: &str, flags: &str| named(&format!("vendor_id\t: {vendor}\nflags\t\t: {flags}\n"), &[]);
        let wide = "fma avx2 avx512f avx512dq avx512bw avx512vl";
        assert_eq!(of("AuthenticAMD", "fpu fma avx2"), "AVX2, AMD");
        assert_eq!(of("GenuineIntel", wide), "AVX-512, Intel");
        assert_eq!(of("GenuineIntel", &format!("{wide} avx512_bf16")), "AVX-512 with bf16, Intel");
        assert_eq!(named("Features\t: fp asimd bf16\n", &[]), "NEON");
        let limits = [("ATEN_CPU_CAPABILITY", "avx2".to_string())];
        assert_eq!(named(&format!("flags : {wide}\n"), &limits), "AVX-512, ATEN_CPU_CAPABILITY=avx2");
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
